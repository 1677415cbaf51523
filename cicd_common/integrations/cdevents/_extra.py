"""Raise one clear `ImportError` if the extra is missing, before the integration's other modules are imported."""

try:
    from cloudevents.core import bindings as bindings
except ModuleNotFoundError:
    raise ImportError(
        "cicd_common.integrations.cdevents needs cloudevents 2.0 or newer, which is not installed; "
        "the extra 'cdevents' brings it: pip install 'cicd-common[cdevents]'"
    ) from None
