"""Say what is missing, once and clearly, before anything of the integration is imported."""

try:
    from opentelemetry import sdk as sdk
    from opentelemetry import semconv as semconv
except ModuleNotFoundError:
    raise ImportError(
        "cicd_common.integrations.opentelemetry needs the SDK and the semantic conventions of OpenTelemetry, which are "
        "not both installed; the extra 'opentelemetry' brings them: pip install 'cicd-common[opentelemetry]'"
    ) from None
