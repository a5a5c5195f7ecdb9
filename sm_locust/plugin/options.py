"""The options that the plugin adds to `locust`, on the command line and in the web UI's form, and those of Locust's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locust.env import Environment

from sm_locust.config import ConfigError, RunConfig
from sm_locust.fields import shown
from sm_locust.schedule import SPEEDS

RUN_DIR = "runs"
METRICS_HOST = "127.0.0.1"
DRAIN_PATIENCE = 10.0  # seconds, where --stop-timeout is not given


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for, before anything of it is looked at.

    config        a file, a configuration made in code, or None for the defaults
    rebalancing   whether the share of a worker that is lost, or joins, is dealt out anew
    metrics_port  0 for no metrics
    environment   of an artillery script, the one of its config.environments to merge over its config
    in_code       whether they were given to `setup`, and are called in errors what it calls them
    """

    config: str | Path | RunConfig | None = None
    run_dir: str = RUN_DIR
    speed: int = 1
    endpoint: str | None = None
    region: str | None = None
    url: str | None = None
    capacity: str | None = None
    rebalancing: bool = True
    metrics_port: int = 0
    metrics_host: str = METRICS_HOST
    environment: str | None = None
    in_code: bool = False

    def called(self, name: str) -> str:
        """What errors call an option: `--sm-run-dir`, and `run_dir` of `setup`."""
        return name.replace("-", "_") if self.in_code else f"--sm-{name}"

    @classmethod
    def parsed(cls, values: Any) -> Options:
        """From a mapping of Locust's parsed options, or of the web UI's form over them. Raises ConfigError."""
        return cls(
            values.get("sm_config") or None,
            values.get("sm_run_dir") or RUN_DIR,
            _whole(values, "sm_speed") or 1,
            values.get("sm_endpoint") or None,
            values.get("sm_region") or None,
            values.get("sm_url") or None,
            values.get("sm_capacity") or None,
            not values.get("sm_no_rebalancing"),
            _whole(values, "sm_metrics_port"),
            values.get("sm_metrics_host") or METRICS_HOST,
            values.get("sm_environment") or None,
        )


def _whole(values: Any, name: str) -> int:
    """0 where nothing is given: a form may hold anything."""
    given = values.get(name) or 0
    try:
        return int(given)
    except ValueError:
        raise ConfigError(f"--{name.replace('_', '-')} {shown(given)} is not accepted: a whole number") from None


def add_options(parser: Any) -> None:
    """Locust's `init_command_line_parser` listener. Values must be primitives: Locust sends them to its workers."""
    parser.add_argument(
        "--sm-config",
        metavar="FILE",
        env_var="SM_LOCUST_CONFIG",
        default="",
        help="sm_locust: YAML file that says what to invoke, with what, how often and what is good enough",
    )
    parser.add_argument(
        "--sm-run-dir",
        metavar="DIR",
        default=RUN_DIR,
        help="sm_locust: where each run makes a folder of its own (default: runs)",
    )
    parser.add_argument(
        "--sm-speed",
        metavar="N",
        type=int,
        choices=SPEEDS,
        default=1,
        help="sm_locust: play the schedule N times faster (1, 2, 3, 6, 12 or 60), against this machine only",
    )
    parser.add_argument(
        "--sm-endpoint", metavar="NAME", default="", help="sm_locust: SageMaker endpoint, instead of target.endpoint"
    )
    parser.add_argument("--sm-region", metavar="NAME", default="", help="sm_locust: instead of target.region")
    parser.add_argument(
        "--sm-url", metavar="URL", default="", help="sm_locust: where InvokeEndpoint goes instead of AWS (target.url)"
    )
    parser.add_argument(
        "--sm-capacity",
        metavar="SETTINGS",
        default="",
        help="sm_locust: for shapes/find_capacity.py, over `capacity` of the configuration: start: 50, max: 2000",
    )
    parser.add_argument(
        "--sm-environment",
        metavar="NAME",
        default="",
        help="sm_locust: of an artillery script, the one of its config.environments to use",
    )
    # Of the process, not of a run: they are not in the web UI's form.
    parser.add_argument(
        "--sm-no-rebalancing",
        action="store_true",
        default=False,
        include_in_web_ui=False,
        help="sm_locust: do not deal out a lost worker's share; by default Locust's --enable-rebalancing is on",
    )
    parser.add_argument(
        "--sm-metrics-port",
        metavar="N",
        type=int,
        default=0,
        include_in_web_ui=False,
        help="sm_locust: port of a Prometheus endpoint, on the master or alone; 0 for none (default)",
    )
    parser.add_argument(
        "--sm-metrics-host",
        metavar="ADDRESS",
        default=METRICS_HOST,
        include_in_web_ui=False,
        help="sm_locust: address that it listens on (default: 127.0.0.1)",
    )


def run_time(environment: Environment) -> float:
    """Seconds that -t gives; infinity without it. A start in the web UI may change it, as it may the next two."""
    given = getattr(environment.parsed_options, "run_time", None)
    return float(given) if given else math.inf


def patience(environment: Environment) -> float:
    """Seconds for what is in flight at the end."""
    given = getattr(environment.parsed_options, "stop_timeout", None)
    return float(given) if given and float(given) > 0 else DRAIN_PATIENCE


def is_headless(environment: Environment) -> bool:
    return bool(getattr(environment.parsed_options, "headless", False))
