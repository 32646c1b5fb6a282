"""The test accuracy of any image classifier, from how it answers stored labelled training pictures."""
