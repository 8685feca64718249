from tests.evaluation.conftest import brightness  # noqa: F401
from tests.registry.conftest import fresh_database, project, root  # noqa: F401
