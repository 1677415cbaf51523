"""Raise one clear `ImportError` if the extra is missing, before the integration's other modules are imported."""

try:
    from opentelemetry import sdk as sdk
    from opentelemetry import semconv as semconv
except ModuleNotFoundError:
    raise ImportError(
        "cicd_common.integrations.opentelemetry needs the SDK and the semantic conventions of OpenTelemetry, which are "
        "not both installed; the extra 'opentelemetry' brings them: pip install 'cicd-common[opentelemetry]'"
    ) from None
