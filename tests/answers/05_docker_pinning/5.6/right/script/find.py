"""Reads every manifest as it is meant, and prints what is privileged: file, where, reason, replacement."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import yaml

SMALL = {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"}
SMALL |= {"SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
ROOT = Path("runners")


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!reference", lambda loader, node: {"!": loader.construct_sequence(node)})


def say(file, where, reason, runs=""):
    if re.search(r"sysctl", runs):
        instead = "node-setting"
    elif re.search(r"s3fs|goofys|mount-s3", runs):
        instead = "aws-api"
    elif reason in ("runtime-socket", "runner") or re.search(
        r"docker:|docker (build|push)|dockerd|nerdctl|podman", runs
    ):
        instead = "build-without-daemon"
    else:
        instead = "own-volume" if reason == "host-path" else "delete"
    print(file, where, reason.replace("runner", "privileged"), instead, sep="\t")


def of_path(path):
    return "runtime-socket" if path.endswith(".sock") else "host-path"


def pods(thing):
    """Every object with a pod in it: its name, and the pod's spec."""
    if isinstance(thing, dict):
        if thing.get("kind", "").endswith("List"):
            for one in thing["items"]:
                yield from pods(one)
        spec = thing.get("spec") or {}
        name = (thing.get("metadata") or {}).get("name")
        for path in ("jobTemplate spec template spec", "template spec", ""):
            found = spec
            for key in path.split():
                found = (found or {}).get(key)
            if isinstance(found, dict) and isinstance(found.get("containers"), list):
                yield name, found
                return


def kubernetes(file, documents):
    for document in filter(None, documents):
        if document.get("kind") == "ConfigMap":
            for name, text in document["data"].items():
                if name.endswith(".toml"):
                    runners(file, tomllib.loads(text))
            continue
        if document.get("kind") == "ClusterPolicy":
            continue
        for name, spec in pods(document):
            for key in ("hostNetwork", "hostPID", "hostIPC"):
                if spec.get(key) is True:
                    say(file, name, "host-namespace")
            hosts = {one["name"]: one["hostPath"]["path"] for one in spec.get("volumes", []) if "hostPath" in one}
            for kind in ("initContainers", "containers", "ephemeralContainers"):
                for one in spec.get(kind, []):
                    container(file, one, spec.get("securityContext", {}), hosts)


def container(file, one, pod, hosts):
    context = one.get("securityContext", {})
    runs = " ".join([one.get("image", ""), *one.get("command", []), *one.get("args", [])])
    if context.get("privileged") is True:
        say(file, one["name"], "privileged", runs)
    if set(context.get("capabilities", {}).get("add", [])) - SMALL:
        say(file, one["name"], "capability", runs)
    if context.get("procMount") == "Unmasked":
        say(file, one["name"], "proc-mount")
    if context.get("allowPrivilegeEscalation") is True:
        say(file, one["name"], "escalation")
    if any(
        context.get(kind, pod.get(kind, {})).get("type") == "Unconfined"
        for kind in ("seccompProfile", "appArmorProfile")
    ):
        say(file, one["name"], "unconfined")
    for mount in one.get("volumeMounts", []):
        if mount["name"] in hosts:
            say(file, one["name"], of_path(hosts[mount["name"]]))


def runners(file, config):
    for runner in config["runners"]:
        mine = runner.get(runner["executor"], {})
        contexts = [value for key, value in mine.items() if key.endswith("_container_security_context")]
        if mine.get("privileged") or mine.get("services_privileged") or any(one.get("privileged") for one in contexts):
            say(file, runner["name"], "runner")
        if mine.get("network_mode") == "host":
            say(file, runner["name"], "host-namespace")
        if any("unconfined" in one for one in mine.get("security_opt", [])):
            say(file, runner["name"], "unconfined")
        for volume in mine.get("volumes", []):
            if ":" in volume:
                say(file, runner["name"], of_path(volume.split(":")[0]))


def pipeline(file, top):
    def job(name):
        found = {}
        parents = top[name].get("extends", [])
        for parent in [parents] if isinstance(parents, str) else parents:
            found |= job(parent)
        return found | top[name]

    for name in top:
        if name in ("stages", "variables", "default") or name.startswith("."):
            continue
        one = {**top.get("default", {}), **job(name)}
        services = one.get("services", [])
        if isinstance(services, dict):  # a !reference
            key, inner = services["!"]
            services = top[key][inner]
        variables = {**top.get("variables", {}), **one.get("variables", {})}

        def filled(text, variables=variables):
            for key, value in variables.items():
                text = text.replace(f"${key}", str(value))
            return text

        lines = "\n".join([*one.get("before_script", []), *one["script"]]).replace("\\\n", " ")
        names = [filled(service["name"] if isinstance(service, dict) else service) for service in services]
        if any("docker:" in service and "dind" in service for service in names):
            say(file, name, "docker-in-docker", f"{one.get('image')} {lines}")
        for line in map(filled, lines.splitlines()):
            if line.startswith("docker run"):
                options(file, name, shlex.split(line)[2:])


def options(file, name, words):
    while words and words[0].startswith("-"):
        option, _, value = words.pop(0).partition("=")
        if option not in ("--rm", "-i", "--privileged") and not value:
            value = words.pop(0)
        if option == "--privileged" and value != "false":
            say(file, name, "privileged")
        if option == "--cap-add":
            say(file, name, "capability")
        if option == "--pid" and value == "host":
            say(file, name, "host-namespace")
        if option == "-v" and value.startswith("/"):
            say(file, name, of_path(value.split(":")[0]))


print("file", "where", "reason", "replacement", sep="\t")
for path in sorted(path for path in ROOT.rglob("*") if path.is_file()):
    file, text = str(path.relative_to(ROOT)), path.read_text()
    if path.suffix == ".toml":
        runners(file, tomllib.loads(text))
    elif path.name == ".gitlab-ci.yml":
        pipeline(file, yaml.load(text, Loader))
    elif path.suffix == ".json":
        kubernetes(file, [json.loads(text)])
    elif path.suffix == ".yaml":
        kubernetes(file, yaml.safe_load_all(text))
