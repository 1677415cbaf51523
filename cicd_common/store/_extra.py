"""Say what is missing, once and clearly, before anything of the store is imported."""

try:
    import sqlalchemy as sqlalchemy
except ModuleNotFoundError:
    raise ImportError(
        "cicd_common.store needs SQLAlchemy, which is not installed; the extra 'store' brings it: "
        "pip install 'cicd-common[store]'"
    ) from None
