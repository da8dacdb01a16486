"""From a directory of policy files to compiled policies: found, read whole, checked, every problem with its place."""

from engine.documents.files import Source, find, read_stable
from engine.documents.load import Kept, LoadedPolicies, load_documents, load_policies

__all__ = ["Kept", "LoadedPolicies", "Source", "find", "load_documents", "load_policies", "read_stable"]
