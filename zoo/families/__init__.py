"""The families of collections. To add one: a file here that ends in `FAMILY = Family(...)`, and its line below."""

from zoo.families.cnns import FAMILY as CNNS
from zoo.families.family import Family
from zoo.families.initializations import FAMILY as INITIALIZATIONS
from zoo.families.sirens import FAMILY as SIRENS
from zoo.families.wild import FAMILY as WILD

FAMILIES: dict[str, Family] = {family.kind: family for family in (SIRENS, CNNS, WILD, INITIALIZATIONS)}
"""Every family by its kind, in the order of the Zoo tab."""
