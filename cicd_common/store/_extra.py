"""Raise one clear `ImportError` if the extra is missing, before the store's other modules are imported."""

try:
    import alembic as alembic
    import sqlalchemy as sqlalchemy
except ModuleNotFoundError:
    raise ImportError(
        "cicd_common.store needs SQLAlchemy and Alembic, which are not both installed; the extra 'store' brings them: "
        "pip install 'cicd-common[store]'"
    ) from None
