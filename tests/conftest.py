"""What every test needs before any other import: Locust first, and nothing inherited that leads off this machine."""

from __future__ import annotations

import os
from functools import cache

# A developer's own profile, endpoints or proxy must not decide whether a test passes, or be reached by one.
# Child processes inherit this. Before Locust, which reads LOCUST_* when it is imported.
for _name in list(os.environ):
    if _name.upper().startswith(("AWS_", "LOCUST_", "SM_LOCUST_")) or _name.upper().endswith("_PROXY"):
        del os.environ[_name]
os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true")
os.environ["XDG_CACHE_HOME"] = os.devnull  # no price that somebody's own commands have learned, and none of the tests'

# Locust patches ssl when it is imported. Whatever imports boto3 (so urllib3) earlier in this process ends in a
# RecursionError, and pytest imports the test files in no order of ours: so it is imported here.
import locust  # noqa: E402, F401

import botocore.session  # noqa: E402
from hypothesis import settings  # noqa: E402

from tests.fuzzing import TIMES  # noqa: E402

# Hundreds of sessions would each read AWS's models anew, a tenth of a second for a client. Within a session botocore
# shares what it has read as it is; here all of this process do.
botocore.session.create_loader = cache(botocore.session.create_loader)

# A red run means that something changed, not that a draw was unlucky or that the machine was busy.
settings.register_profile("sm_locust", max_examples=100 * TIMES, derandomize=TIMES == 1, deadline=None, database=None)
settings.load_profile("sm_locust")
