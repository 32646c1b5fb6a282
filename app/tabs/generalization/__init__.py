"""The Accuracy tab: predict a classifier's test accuracy."""
