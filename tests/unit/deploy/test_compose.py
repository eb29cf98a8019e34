"""docker-compose.yml against the product: commands, queues, settings, secrets, ports, and what promises depend on."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli.running import stack
from core.queues import QUEUES
from core.settings import Settings
from deploy.settings_page import variables
from tests.unit.deploy.commands import ROOT, consumed, parse, variables_of_init
from workers.loop import STOP_SECONDS

FILE = ROOT / "docker-compose.yml"
TEXT = FILE.read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("postlane:")}
FOREIGN = {name: service for name, service in SERVICES.items() if name not in OURS}
LASTING = {name: service for name, service in OURS.items() if name != "migrate"}
LANES = ("worker-transactional", "worker-marketing")


def _seconds(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


def _published(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(address of the host or "", port of the host, port inside) of each published port."""
    return [
        ("", *port.rsplit(":", 1)) if port.count(":") == 1 else tuple(port.split(":"))
        for port in service.get("ports", [])
    ]


def test_the_services_of_the_specification_are_there() -> None:
    assert set(SERVICES) == {
        "postgres", "valkey", "migrate", "api", "worker-transactional", "worker-marketing", "worker-background",
        "scheduler", "inbound", "public", "console",
    }  # fmt: skip


# Commands, queues, settings, secrets


def test_every_celery_queue_has_a_consumer() -> None:
    assert consumed([service["command"] for service in OURS.values()]) == set(QUEUES)


@pytest.mark.parametrize("name", OURS)
def test_command_exists_with_these_arguments(name: str) -> None:
    words = OURS[name]["command"]

    assert parse(words) == words[0]


def test_a_wrong_command_would_be_noticed() -> None:
    with pytest.raises(typer.TyperException):
        parse(["worker", "no-such-queue"])
    with pytest.raises(typer.TyperException):
        parse(["worker", "marketing", "--no-such-option"])
    with pytest.raises(typer.TyperException):
        parse(["no-such-command"])


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    given = {variable for variable in OURS[name]["environment"] if variable.startswith("POSTLANE_")}

    assert given
    assert given <= variables()


@pytest.mark.parametrize("name", OURS)
def test_settings_have_values_that_are_accepted(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for variable, value in OURS[name]["environment"].items():
        monkeypatch.setenv(variable, _filled(value))
    monkeypatch.setenv("POSTLANE_SECRET", "ab" * 32)
    settings = Settings()

    assert settings.database_url.startswith("postgresql://postlane:x@")
    assert settings.redis_url.startswith("redis://:x@")
    assert str(settings.data_dir) == "/data"


def _filled(value: str) -> str:
    return re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", "x", value)


def test_every_variable_from_env_is_written_by_init(tmp_path: Path) -> None:
    written = variables_of_init(tmp_path)
    # `$$NAME` is for the shell in the container, which gets it from the service's environment.
    read = set(re.findall(r"(?<!\$)\$\{?([A-Z_]+)", TEXT))

    assert read
    assert read <= written
    assert "POSTLANE_SECRET" in written


def test_a_missing_variable_stops_compose_with_advice() -> None:
    used = re.findall(r"(?<!\$)\$\{([A-Z_]+)([^}]*)\}", TEXT)

    assert [name for name, rest in used if rest != ':?run "postlane init" first'] == []


@pytest.mark.parametrize("name", OURS)
def test_the_secret_comes_from_env_and_stands_nowhere(name: str) -> None:
    assert OURS[name]["env_file"] == ".env"
    assert "POSTLANE_SECRET" not in OURS[name]["environment"]


def test_passwords_reach_the_servers_they_are_for() -> None:
    assert set(SERVICES["postgres"]["environment"]) >= {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}
    assert "REDIS_PASSWORD" in SERVICES["valkey"]["environment"]
    assert "requirepass $$REDIS_PASSWORD" in SERVICES["valkey"]["command"][-1]


# Images


@pytest.mark.parametrize("name", FOREIGN)
def test_images_are_pinned_to_a_major_version(name: str) -> None:
    _, _, tag = FOREIGN[name]["image"].rpartition(":")

    assert re.match(r"\d+", tag)


def test_servers_are_those_the_product_is_tested_with() -> None:
    assert SERVICES["postgres"]["image"] == "postgres:18"
    assert SERVICES["valkey"]["image"] == "valkey/valkey:9"
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]


def test_our_image_is_that_of_this_version() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"', project, re.M)

    assert version is not None
    assert {service["image"] for service in OURS.values()} == {f"postlane:{version[1]}"}


# Durability


def test_postgres_keeps_what_it_commits() -> None:
    command = SERVICES["postgres"]["command"]
    settings = dict(word.split("=", 1) for word in command if "=" in word)

    assert settings["max_connections"] == "200"
    assert not {"fsync", "synchronous_commit", "full_page_writes"} & set(settings)


def test_connections_fit_into_postgres() -> None:
    pool = Settings.model_fields["database_pool_size"].default
    limit = int(next(w for w in SERVICES["postgres"]["command"] if w.startswith("max_connections=")).split("=")[1])

    assert len(LASTING) * pool < limit // 2, "a second host's workers would not get connections"


def test_valkey_forgets_nothing_by_itself() -> None:
    script = SERVICES["valkey"]["command"][-1]

    assert "--appendonly yes" in script
    assert "--maxmemory-policy noeviction" in script


@pytest.mark.parametrize("name", [*LANES, "worker-background", "inbound"])
def test_data_that_must_survive_has_a_volume_of_its_own(name: str) -> None:
    volumes = [volume.split(":")[0] for volume in SERVICES[name]["volumes"]]

    assert len(volumes) == 1
    assert volumes[0] in COMPOSE["volumes"]
    assert sum(volume.startswith(f"{volumes[0]}:") for s in SERVICES.values() for volume in s.get("volumes", [])) == 1
    assert SERVICES[name]["volumes"] == [f"{volumes[0]}:{SERVICES[name]['environment']['POSTLANE_DATA_DIR']}"]


def test_workers_keep_their_names_over_restarts() -> None:
    """A container's host name is random: the journal of a killed worker would never be read again."""
    names = [SERVICES[name]["environment"]["POSTLANE_WORKER_NAME"] for name in SERVICES if name.startswith("worker-")]

    assert len(names) == len(set(names)) == 3


# Life


@pytest.mark.parametrize("name", LASTING)
def test_service_comes_back_by_itself(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", LASTING)
def test_service_waits_for_the_migration(name: str) -> None:
    needs = SERVICES[name]["depends_on"]

    assert needs["migrate"]["condition"] == "service_completed_successfully"
    assert needs["postgres"]["condition"] == "service_healthy"


def test_mail_is_accepted_without_valkey() -> None:
    """Promise 1 does not depend on Redis, so neither do the two doors in."""
    assert "valkey" not in SERVICES["api"]["depends_on"]
    assert "valkey" not in SERVICES["inbound"]["depends_on"]


@pytest.mark.parametrize("name", [*LASTING, *FOREIGN])
def test_service_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]

    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert _seconds(check["timeout"]) < _seconds(check["interval"]) + 1
    assert _seconds(check["start_period"]) >= 30


@pytest.mark.parametrize("name", LASTING)
def test_health_check_is_python_and_asks_the_right_port(name: str) -> None:
    program, option, code = SERVICES[name]["healthcheck"]["test"][1:]
    compile(code, name, "exec")

    assert (program, option) == ("python", "-c")
    assert "/healthz" in code
    if name == "api":
        assert f":{SERVICES[name]['environment']['POSTLANE_API_PORT']}/" in code
    else:
        assert "POSTLANE_METRICS_PORT" in code
        assert int(SERVICES[name]["environment"]["POSTLANE_METRICS_PORT"]) > 1024


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("api", stack.API_STOP_SECONDS),
        *((name, stack.WORKER_STOP_SECONDS + STOP_SECONDS) for name in LASTING if name != "api"),
    ],
)
def test_service_is_given_the_time_to_stop(name: str, least: float) -> None:
    assert _seconds(SERVICES[name]["stop_grace_period"]) > least


@pytest.mark.parametrize("name", SERVICES)
def test_logs_cannot_fill_the_disk(name: str) -> None:
    assert {"max-size", "max-file"} <= set(SERVICES[name]["logging"]["options"])


# Privileges and networks


@pytest.mark.parametrize("name", OURS)
def test_our_processes_may_do_nothing_special(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert "user" not in service, "the image says who, and it is not root"


def test_only_api_and_inbound_are_reachable() -> None:
    beyond_loopback = {
        (name, port)
        for name, service in SERVICES.items()
        for host, port, _ in _published(service)
        if host != "127.0.0.1"
    }

    assert beyond_loopback == {("inbound", "25"), ("inbound", "465"), ("inbound", "587")}
    assert _published(SERVICES["api"]) == [("127.0.0.1", "8025", "8025")]
    assert _published(SERVICES["public"])[0] == ("127.0.0.1", "8026", "8026")
    assert _published(SERVICES["console"])[0] == ("127.0.0.1", "8027", "8027")


def test_published_ports_are_those_that_are_listened_on() -> None:
    inbound = SERVICES["inbound"]["environment"]
    listened = {inbound[f"POSTLANE_{name}_PORT"] for name in ("INBOUND", "SUBMISSION", "SUBMISSIONS", "METRICS")}

    assert {inside for _, _, inside in _published(SERVICES["inbound"])} == listened
    for name in ("public", "console"):
        set_to = SERVICES[name]["environment"]
        ports = [set_to[f"POSTLANE_{name.upper()}_PORT"], set_to["POSTLANE_METRICS_PORT"]]
        assert [inside for _, _, inside in _published(SERVICES[name])] == ports
    assert SERVICES["api"]["environment"]["POSTLANE_API_PORT"] == _published(SERVICES["api"])[0][2]


def test_no_two_services_want_the_same_port_of_the_host() -> None:
    ports = [port for service in SERVICES.values() for _, port, _ in _published(service)]
    ports += [SERVICES[name]["environment"]["POSTLANE_METRICS_PORT"] for name in LANES]

    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("name", LANES)
def test_lanes_can_bind_the_addresses_of_the_host(name: str) -> None:
    service = SERVICES[name]

    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert "networks" not in service
    assert "@127.0.0.1:5432/" in service["environment"]["POSTLANE_DATABASE_URL"]
    assert "@127.0.0.1:6379/" in service["environment"]["POSTLANE_REDIS_URL"]
    assert service["environment"]["POSTLANE_METRICS_HOST"] == "127.0.0.1"


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in LANES])
def test_everything_else_stays_in_the_inner_network(name: str) -> None:
    assert SERVICES[name]["networks"] == ["inner"]
    assert "network_mode" not in SERVICES[name]


@pytest.mark.parametrize("name", [name for name in OURS if name not in LANES])
def test_inner_services_find_their_servers_by_name(name: str) -> None:
    environment = SERVICES[name]["environment"]

    assert "@postgres:5432/" in environment["POSTLANE_DATABASE_URL"]
    assert "@valkey:6379/" in environment["POSTLANE_REDIS_URL"]
