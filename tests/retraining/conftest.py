from tests.registry.conftest import brightness, fresh_database, project, root  # noqa: F401
