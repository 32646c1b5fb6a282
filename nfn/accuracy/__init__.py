"""Predict the test accuracy of any image classifier from its outputs on stored labelled training images."""
