"""Say what is missing, once and clearly, before anything of the integration is imported."""

try:
    from cloudevents.core import bindings as bindings
except ModuleNotFoundError:
    raise ImportError(
        "cicd_common.integrations.cdevents needs cloudevents 2.0 or newer, which is not installed; "
        "the extra 'cdevents' brings it: pip install 'cicd-common[cdevents]'"
    ) from None
