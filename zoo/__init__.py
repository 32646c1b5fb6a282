"""A zoo of networks and predictors by name: start with `zoo.catalog.Zoo`; `zoo.collection.Collection` is one folder."""
