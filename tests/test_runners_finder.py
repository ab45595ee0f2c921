"""The reference finder: what it calls privileged, what it leaves alone, and files that somebody has made to hurt it."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest

from opslab.worlds.runners import REASONS, REPLACEMENTS, find, gitlab_ci, read_folder
from opslab.worlds.runners.gitlab_ci import commands, started

POD = "kind: Pod\nmetadata: {name: loader}\nspec:\n"


def found(text: str, name: str = "a.yaml") -> dict[tuple[str, str], str]:
    """What is found in one file: (where, reason) to replacement."""
    result = find({name: textwrap.dedent(text)})
    assert not result.problems
    for one in result.findings:
        assert one.reason in REASONS and one.replacement in REPLACEMENTS
        assert one.as_dict() == {**vars(one)} and one.key == (name, one.where, one.reason)
    told = {(one.where, one.reason): one.replacement for one in result.findings}
    assert len(told) == len(result.findings), "each once"
    return told


def container(text: str, **pod: object) -> set[str]:
    """The reasons found in a container with these fields, YAML in braces. pod: further fields of its pod."""
    more = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in pod.items())
    result = found(f"{POD}{more}  containers:\n  - {{name: load, {text}}}\n")
    assert {where for where, _ in result} <= {"load"}
    return {reason for _, reason in result}


# ---- Kubernetes -------------------------------------------------------------------------------------------------------

CONTAINERS = {
    "securityContext: {privileged: true}": {"privileged"},
    "securityContext: {privileged: yes}": {"privileged"},
    "securityContext: {privileged: On}": {"privileged"},
    "securityContext: {privileged: 'true'}": set(),
    'securityContext: {privileged: "yes"}': set(),
    "securityContext: {privileged: false}": set(),
    "securityContext: {privileged: }": set(),
    "securityContext: [privileged]": set(),
    "privileged: true": set(),
    "hostPID: true": set(),
    "env: [{name: privileged, value: 'true'}]": set(),
    "securityContext: {capabilities: {add: [ALL]}}": {"capability"},
    "securityContext: {capabilities: {add: [CHOWN, SYS_ADMIN]}}": {"capability"},
    "securityContext: {capabilities: {add: [NET_RAW]}}": {"capability"},
    "securityContext: {capabilities: {add: [NET_BIND_SERVICE, SETFCAP]}}": set(),
    "securityContext: {capabilities: {drop: [SYS_ADMIN, ALL]}}": set(),
    "securityContext: {capabilities: {add: SYS_ADMIN}}": set(),
    "securityContext: {procMount: Unmasked}": {"proc-mount"},
    "securityContext: {procMount: Default}": set(),
    "securityContext: {allowPrivilegeEscalation: true}": {"escalation"},
    "securityContext: {allowPrivilegeEscalation: false}": set(),
    "securityContext: {seccompProfile: {type: Unconfined}}": {"unconfined"},
    "securityContext: {appArmorProfile: {type: Unconfined}}": {"unconfined"},
    "securityContext: {seccompProfile: {type: RuntimeDefault}}": set(),
    "securityContext: {privileged: true, procMount: Unmasked, capabilities: {add: [ALL]}}": {
        *("privileged", "proc-mount", "capability"),
    },
}


@pytest.mark.parametrize("text", CONTAINERS)
def test_fields_of_a_container(text: str):
    assert container(text) == CONTAINERS[text]


@pytest.mark.parametrize("kind", ["initContainers", "containers", "ephemeralContainers"])
def test_each_kind_of_container_counts(kind: str):
    text = f"{POD}  {kind}:\n  - {{name: a}}\n  - {{name: b, securityContext: {{privileged: true}}}}\n"
    assert found(text) == {("b", "privileged"): "delete"}
    assert find({"a.yaml": text}).findings[0].path == f"spec.{kind}[1].securityContext.privileged"


def test_where_a_field_stands():
    paths = {
        "securityContext: {privileged: true}": "securityContext.privileged",
        "securityContext: {capabilities: {add: [ALL]}}": "securityContext.capabilities.add",
        "securityContext: {procMount: Unmasked}": "securityContext.procMount",
        "securityContext: {allowPrivilegeEscalation: true}": "securityContext.allowPrivilegeEscalation",
        "securityContext: {appArmorProfile: {type: Unconfined}}": "securityContext.appArmorProfile",
        "volumeMounts: [{name: b}, {name: a}]": "volumeMounts[1]",
    }
    for text, path in paths.items():
        whole = f"{POD}  volumes: [{{name: a, hostPath: {{path: /}}}}]\n  containers: [{{name: load, {text}}}]\n"
        assert [one.path for one in find({"a.yaml": whole}).findings if one.where == "load"] == [
            f"spec.containers[0].{path}"
        ]


def test_what_is_said_for_the_whole_pod():
    for key in ("hostPID", "hostNetwork", "hostIPC"):
        assert found(f"{POD}  {key}: true\n") == {("loader", "host-namespace"): "delete"}
        assert found(f"{POD}  {key}: false\n") == found(f"{POD}  {key}: 'true'\n") == {}
        assert found(f"{POD}  securityContext: {{{key}: true}}\n") == {}
    assert container("image: a", securityContext={"privileged": True, "procMount": "Unmasked"}) == set()
    for kind in ("seccompProfile", "appArmorProfile"):
        pod = {"securityContext": {kind: {"type": "Unconfined"}}}
        assert container("image: a", **pod) == {"unconfined"}
        assert container(f"securityContext: {{{kind}: {{type: RuntimeDefault}}}}", **pod) == set()


def test_folders_of_the_machine():
    def mounted(path: object, **more: object) -> set[str]:
        volumes = [{"name": "a", "hostPath": path}, {"name": "b", "emptyDir": {}}]
        return container("volumeMounts: [{name: a, mountPath: /x}]", volumes=volumes, **more)

    for path in ("/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock"):
        assert mounted({"path": path}) == {"runtime-socket"}
    for path in ("/", "/var/run", "/etc/kubernetes", "/data/docker.socket"):
        assert mounted({"path": path, "type": "Directory"}) == {"host-path"}
    assert mounted({}) == {"host-path"}, "a path that is missing does not make it a volume of another kind"
    mount = "volumeMounts: [{name: b, mountPath: /var/run/docker.sock}]"
    assert container(mount, volumes=[{"name": "b", "emptyDir": {}}]) == set()
    assert found(
        f"{POD}  volumes: [{{name: a, hostPath: {{path: /run/docker.sock}}}}]\n  containers: [{{name: b}}]\n"
    ) == {("loader", "runtime-socket"): "build-without-daemon"}, "a volume that nobody mounts is the pod's"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Pod", "spec"),
        ("PodTemplate", "template.spec"),
        ("CronJob", "spec.jobTemplate.spec.template.spec"),
        *((kind, "spec.template.spec") for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")),
        ("ReplicationController", "spec.template.spec"),
    ],
)
def test_each_kind_of_object_has_its_pods_somewhere(kind: str, path: str):
    made: dict = {"hostPID": True}
    for key in reversed(path.split(".")):
        made = {key: made}
    made |= {"kind": kind, "metadata": {"name": "a"}}
    assert found(json.dumps(made), "a.json") == found(json.dumps(made)) == {("a", "host-namespace"): "delete"}
    inside = {"kind": "List", "items": [{"kind": "Service"}, made]}
    assert find({"a.json": json.dumps(inside)}).findings[0].path == f"items[1].{path}.hostPID"
    assert found(json.dumps({**made, "kind": "ClusterPolicy"})) == {}


def test_documents_anchors_and_merge_keys():
    assert found(f"kind: Service\n---\n---\n{POD}  hostPID: true\n") == {("loader", "host-namespace"): "delete"}
    text = f"""{POD}  containers:
  - &base
    name: a
    securityContext: &loud {{privileged: true}}
  - {{<<: *base, name: b}}
  - {{<<: *base, name: c, securityContext: {{}}}}
  - {{name: d, securityContext: {{<<: *loud, runAsUser: 0}}}}
  - {{name: e, securityContext: {{<<: *loud, privileged: false}}}}
"""
    assert set(found(text)) == {("a", "privileged"), ("b", "privileged"), ("d", "privileged")}


def test_a_runners_configuration_in_a_config_map():
    text = """
        kind: ConfigMap
        data:
          notes.txt: "privileged = true"
          config.template.toml: |
            [[runners]]
              name = "jobs"
              executor = "kubernetes"
              [runners.kubernetes]
                privileged = true
        """
    assert found(text) == {("jobs", "privileged"): "build-without-daemon"}
    assert find({"a.yaml": textwrap.dedent(text)}).findings[0].path.startswith("data.config.template.toml: runners[0].")


def test_what_it_is_there_for_says_what_replaces_it():
    privileged = "securityContext: {privileged: true}"
    instead = {
        "image: 'docker:27-dind'": "build-without-daemon",
        "image: registry.targ.example/mirror/docker:27": "build-without-daemon",
        "image: docker.io/library/python, command: [python]": "delete",
        "args: [sh, -c, 'docker build -t x .']": "build-without-daemon",
        "command: [sysctl, -w, vm.max_map_count=262144]": "node-setting",
        "command: [sh, -c, 's3fs targ-clicks /data']": "aws-api",
        "command: 5": "delete",
    }
    for text, replacement in instead.items():
        assert found(f"{POD}  containers: [{{name: a, {text}, {privileged}}}]\n") == {("a", "privileged"): replacement}


# ---- GitLab runners ---------------------------------------------------------------------------------------------------

RUNNERS = {
    "docker: privileged = true": {"privileged"},
    "docker: services_privileged = true": {"privileged"},
    "docker: privileged = true\nservices_privileged = true": {"privileged"},
    "docker+machine: privileged = true": {"privileged"},
    'docker: privileged = "true"': set(),
    "docker: privileged = false # privileged = true": set(),
    "shell: privileged = true": set(),
    'docker: volumes = ["/cache", "/var/run/docker.sock:/var/run/docker.sock:ro"]': {"runtime-socket"},
    'docker: volumes = ["/srv/cache:/cache"]': {"host-path"},
    'docker: volumes = ["/cache", "pip-cache:/var/cache/pip", 5]': set(),
    'docker: cap_add = ["SYS_ADMIN"]': {"capability"},
    'docker: services_cap_add = ["CAP_NET_ADMIN"]': {"capability"},
    'docker: cap_add = ["CAP_CHOWN"]': set(),
    'docker: cap_drop = ["ALL"]': set(),
    'docker: network_mode = "host"': {"host-namespace"},
    'docker: network_mode = "ci"': set(),
    'docker: security_opt = ["seccomp:unconfined"]': {"unconfined"},
    'docker: security_opt = ["no-new-privileges"]': set(),
    'docker: security_opt = ["apparmor=unconfined"]': {"unconfined"},
    'docker: services_security_opt = ["apparmor:unconfined"]': {"unconfined"},
    'docker: ipcmode = "host"': {"host-namespace"},
    'docker: volumes = ["./certs:/certs"]': {"host-path"},
    'docker: volumes = ["~/.m2:/var/m2"]': {"host-path"},
    "docker-autoscaler: privileged = true": {"privileged"},
    "kubernetes: privileged = true": {"privileged"},
    "kubernetes: services_privileged = true": set(),
    "kubernetes: allow_privilege_escalation = true": {"escalation"},
    'kubernetes: cap_add = ["ALL"]': {"capability"},
    "kubernetes: service_container_security_context = {privileged = true}": {"privileged"},
    "kubernetes: build_container_security_context = {privileged = false, allow_privilege_escalation = true}": {
        "escalation"
    },
    'kubernetes: helper_container_security_context = {capabilities = {add = ["BPF"]}}': {"capability"},
    'kubernetes: init_permissions_container_security_context = {proc_mount = "Unmasked"}': {"proc-mount"},
    "kubernetes: pod_security_context = {privileged = true}": set(),
    'kubernetes: volumes = {host_path = [{name = "d", mount_path = "/var/run/docker.sock"}]}': {"runtime-socket"},
    'kubernetes: volumes = {host_path = [{name = "d", mount_path = "/x", host_path = "/etc"}]}': {"host-path"},
    'kubernetes: volumes = {empty_dir = [{name = "docker-sock", mount_path = "/var/run"}]}': set(),
}


@pytest.mark.parametrize("setting", RUNNERS)
def test_settings_of_a_runner(setting: str):
    executor, _, line = setting.partition(": ")
    section = executor if executor == "kubernetes" else "docker"
    other = '[[runners]]\nname = "other"\nexecutor = "docker"\n'
    one = f'[[runners]]\nname = "one"\nexecutor = "{executor}"\n[runners.{section}]\n{line}\n'
    result = found(other + one + other, "runners/config.toml")
    assert set(result) == {("one", reason) for reason in RUNNERS[setting]}
    assert "privileged" not in RUNNERS[setting] or result["one", "privileged"] == "build-without-daemon"


PATHS = {
    "docker: privileged = true": "docker.privileged",
    'docker: services_cap_add = ["ALL"]': "docker.services_cap_add",
    'docker: volumes = ["/srv:/srv"]': "docker.volumes",
    'docker: ipcmode = "host"': "docker.ipcmode",
    'kubernetes: cap_add = ["ALL"]': "kubernetes.cap_add",
    "kubernetes: allow_privilege_escalation = true": "kubernetes.allow_privilege_escalation",
    'kubernetes: volumes = {host_path = [{mount_path = "/etc"}]}': "kubernetes.volumes.host_path[0]",
    "kubernetes: build_container_security_context = {privileged = true}": "kubernetes.build_container_security_context.privileged",
    'kubernetes: helper_container_security_context = {proc_mount = "Unmasked"}': "kubernetes.helper_container_security_context.proc_mount",
}


@pytest.mark.parametrize("setting", PATHS)
def test_where_a_setting_of_a_runner_stands(setting: str):
    executor, _, line = setting.partition(": ")
    text = f'[[runners]]\nname = "a"\nexecutor = "{executor}"\n[runners.{executor}]\n{line}\n'
    assert [one.path for one in find({"a.toml": text}).findings] == [f"runners[0].{PATHS[setting]}"]


def test_where_a_volume_that_nobody_mounts_stands():
    text = f"{POD}  volumes: [{{name: a, emptyDir: {{}}}}, {{name: b, hostPath: {{path: /}}}}]\n"
    assert [one.path for one in find({"a.yaml": text}).findings] == ["spec.volumes[1].hostPath"]


def test_only_the_section_of_its_own_executor_counts():
    both = '[[runners]]\nname = "a"\nexecutor = "{}"\n[runners.docker]\nprivileged = true\n[runners.kubernetes]\ncap_add = ["ALL"]\n'
    assert set(found(both.format("docker"), "a.toml")) == {("a", "privileged")}
    assert set(found(both.format("kubernetes"), "a.toml")) == {("a", "capability")}
    assert found(both.format("shell"), "a.toml") == found("runners = 5\n", "a.toml") == found("", "a.toml") == {}


# ---- pipelines --------------------------------------------------------------------------------------------------------

PIPELINES = {
    "a: {services: ['docker:27-dind'], script: docker build .}": {"a"},
    "a: {services: [{name: 'registry.targ.example/mirror/docker:dind', alias: docker}], script: x}": {"a"},
    "a: {services: ['postgres:16', 'docker:27-dind-rootless'], script: x}": {"a"},
    "a: {services: ['docker:27-dind@sha256:0123'], script: x}": {"a"},
    "a: {services: ['docker:$V'], variables: {V: 27-dind}, script: x}": {"a"},
    "variables: {V: {value: dind, description: x}}\na: {services: ['docker:${V}'], script: x}": {"a"},
    "a: {services: ['docker:27-cli', 'my-docker:dind', 'dind:1'], script: x}": set(),
    "a: {image: 'docker:27-cli', variables: {DOCKER_TLS_CERTDIR: /certs}, script: x}": set(),
    ".a: {services: ['docker:dind'], script: x}\nb: {script: x}": set(),
    ".a: {services: ['docker:dind']}\n.b: {extends: .a}\nc: {extends: [.b], script: x}": {"c"},
    ".a: {services: ['docker:dind']}\nb: {extends: .a, services: [], script: x}": set(),
    ".a: {services: ['docker:dind']}\n.b: {services: ['redis:7']}\nc: {extends: [.a, .b], script: x}": set(),
    ".a: {services: ['docker:dind']}\n.b: {services: ['redis:7']}\nc: {extends: [.b, .a], script: x}": {"c"},
    ".a: {variables: {V: dind}}\nb: {extends: .a, variables: {W: x}, services: ['docker:$V'], script: x}": {"b"},
    ".a: &a {services: ['docker:dind']}\nb: {<<: *a, script: x}": {"b"},
    ".a: {services: ['docker:dind']}\nb: {services: !reference [.a, services], script: x}": {"b"},
    ".a: {services: ['docker:dind']}\nb: {services: [!reference [.a, services, 0]], script: x}": set(),
    "default: {services: ['docker:dind']}\na: {script: x}\nb: {services: [], script: x}\nc: {script: x}": {"a", "c"},
    "services: ['docker:dind']\nstages: [x]\na: {script: x}": {"a"},
    "default: {services: ['docker:dind']}\na: {inherit: {default: false}, script: x}": set(),
    "default: {services: ['docker:dind']}\na: {inherit: {default: [image]}, script: x}": set(),
    "default: {services: ['docker:dind']}\na: {inherit: {default: [services]}, script: x}": {"a"},
}


@pytest.mark.parametrize("text", PIPELINES)
def test_docker_in_docker(text: str):
    assert set(found(text, ".gitlab-ci.yml")) == {(job, "docker-in-docker") for job in PIPELINES[text]}


COMMANDS = {
    "docker run --privileged tool": ["privileged"],
    "docker run --privileged=true tool": ["privileged"],
    "docker run --privileged=false tool": [],
    "docker run tool --privileged": [],
    "docker run --rm -it tool run --privileged -v /:/x": [],
    "docker run --name --privileged tool": [],
    "docker run -e A=b -w /x --network ci --privileged tool": ["privileged"],
    "docker run -itv/srv:/srv --privileged tool": ["host-path", "privileged"],
    "docker run -itv /srv:/srv --privileged tool": ["host-path", "privileged"],
    "docker run -- tool --privileged": [],
    "docker --context ci -H tcp://x container run --privileged tool": ["privileged"],
    "/usr/bin/docker create --privileged tool": ["privileged"],
    "docker exec --privileged box sh": ["privileged"],
    "docker run -u0 --privileged tool": ["privileged"],
    "docker run -v=/srv:/srv tool": ["host-path"],
    "docker run --ipc=host --userns host tool": ["host-namespace", "host-namespace"],
    "docker build --privileged .": [],
    "docker": [],
    "docker run -v": [],
    "docker run --volume": [],
    "podman run --pid=host --net host tool": ["host-namespace", "host-namespace"],
    "sudo env A=b docker run --cap-add SYS_ADMIN tool": ["capability"],
    "docker run --cap-add=CHOWN,CAP_NET_ADMIN tool": ["capability"],
    "docker run --cap-drop ALL --cap-add CAP_CHOWN tool": [],
    "docker run --security-opt seccomp=unconfined tool": ["unconfined"],
    "docker run --security-opt seccomp=ci.json tool": [],
    "docker run -v /var/run/docker.sock:/var/run/docker.sock tool": ["runtime-socket"],
    "docker run -v out:/out --volume /data tool": [],
    "docker run --mount type=bind,source=/var/run/docker.sock,target=/x tool": ["runtime-socket"],
    "docker run --mount type=volume,source=x,target=/x tool": [],
    "docker run --pid container:x tool": [],
    "echo docker run --privileged tool": [],
    "grep -r privileged .": [],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_docker_starts(command: str):
    assert started(command.split()) == COMMANDS[command]


def test_words_and_options_that_can_stand_before():
    """Each one that is known. An option that is not known takes the next word with it."""
    run, found = "run --privileged tool", ["privileged"]
    for word in (
        "sudo",
        "env",
        "exec",
        "time",
        "command",
        "nohup",
        "!",
        "then",
        "do",
        "else",
        "if",
        "while",
        "{",
        "A=b",
    ):
        assert started(f"{word} docker {run}".split()) == found, word
    for engine in ("docker", "podman", "nerdctl", "/usr/local/bin/docker"):
        assert started(f"{engine} {run}".split()) == found, engine
    for option in ("-H", "--host", "-c", "--context", "--config", "-l", "--log-level", "--connection", "--url"):
        assert started(f"docker {option} x {run}".split()) == found, option
        assert started(f"docker {option}=x {run}".split()) == found, option
        assert started(["docker", option]) == []
    for switch in gitlab_ci.SWITCHES:
        assert started(f"docker run {switch} --pid host tool".split())[-1] == "host-namespace", switch
    assert started(["docker", "--debug", "run", "--privileged", "tool"]) == found
    assert started(["docker", "run", "--shm-size", "1g", "--privileged", "tool"]) == found
    for word in ("echo", "grep", "mydocker"):
        assert started(f"{word} docker {run}".split()) == started(f"docker {word} {run}".split()) == [], word


def test_a_job_runs_what_it_inherits():
    """before_script and after_script of `default`, or of the top of the file."""
    for key in ("before_script", "after_script"):
        for above in ({"default": {key: ["docker run --privileged tool"]}}, {key: "docker run --privileged tool"}):
            pipeline = {**above, "a": {"script": "x"}, "b": {"script": "x", key: []}}
            (one,) = find({".gitlab-ci.yml": json.dumps(pipeline)}).findings
            assert (one.where, one.reason, one.path) == ("a", "privileged", key)
    image = {"default": {"image": "docker:27-cli"}, "a": {"services": ["docker:dind"], "script": "make"}}
    assert found(json.dumps(image), ".gitlab-ci.yml") == {("a", "docker-in-docker"): "build-without-daemon"}


def test_what_stands_at_the_top_of_a_pipeline_is_no_job():
    for key in ("default", "include", "stages", "variables", "workflow", "image", "services", "cache", "spec"):
        pipeline = {key: {"services": ["docker:dind"], "script": "docker run --privileged x"}}
        assert find({".gitlab-ci.yml": json.dumps(pipeline)}).findings == (), key


SCRIPTS = {
    "docker run \\\n  --rm --privileged \\\n  tool": True,
    "cd app && docker run --privileged tool | tee log": True,
    "if docker run --privileged tool; then echo ok; fi": True,
    "ID=$(docker run -d --privileged tool)": True,
    "docker run --rm 2>&1 > out.txt --privileged tool": True,
    "echo it's here\ndocker run --privileged tool": True,
    "# don't\ndocker run --privileged tool": True,
    'docker run "--privileged" tool': True,
    "# docker run --privileged tool": False,
    "true  # or else; docker run --privileged tool": False,
    "docker run tool # --privileged": False,
    "docker run tool\n--privileged": False,
    "docker run tool; echo --privileged": False,
    "echo 'docker run --privileged tool'": False,
    'echo "use; docker run --privileged tool"': False,
    "docker run 'tool --privileged'": False,
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(script: str):
    for given in (script, script.split("\n") if "\\\n" not in script else [script], [["true"], [script]]):
        for key in ("script", "before_script", "after_script"):
            result = found(json.dumps({"a": {key: given}}), ".gitlab-ci.yml")
            assert set(result) == ({("a", "privileged")} if SCRIPTS[script] else set())


def test_options_can_stand_in_variables():
    job = {"script": "docker run $OPTIONS tool", "variables": {"OPTIONS": "-i --privileged"}}
    assert found(json.dumps({"a": job}), "x.gitlab-ci.yml") == {("a", "privileged"): "delete"}
    above = {"variables": {"OPTIONS": "--pid host"}, "a": {"script": ["docker run ${OPTIONS} tool"]}}
    assert found(json.dumps(above), ".gitlab-ci.yml") == {("a", "host-namespace"): "delete"}
    assert found(json.dumps({**above, "a": {**above["a"], "variables": {"OPTIONS": "-i"}}}), ".gitlab-ci.yml") == {}


def test_what_replaces_docker_in_a_job():
    services = {"services": ["docker:dind"]}
    builds = {
        "a": {**services, "script": "docker build ."},
        "b": {**services, "image": "docker:27-cli", "script": "make"},
    }
    assert set(found(json.dumps(builds), ".gitlab-ci.yml").values()) == {"build-without-daemon"}
    assert found(json.dumps({"a": {**services, "script": "pytest"}}), ".gitlab-ci.yml") == {
        ("a", "docker-in-docker"): "delete"
    }
    run = {"script": ["docker run --privileged tool"]}
    assert found(json.dumps({"a": run}), ".gitlab-ci.yml") == {("a", "privileged"): "delete"}
    run["script"].append("docker push x")
    assert found(json.dumps({"a": run}), ".gitlab-ci.yml") == {("a", "privileged"): "build-without-daemon"}


# ---- files that cannot be read, or that hurt --------------------------------------------------------------------------

_DOUBLED = "a: &a0 [1, 2]\n" + "".join(f"b{n}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(30))
_REFERENCES = "\n".join(f".r{n}: [{', '.join([f'!reference [.r{n + 1}]'] * 20)}]" for n in range(9)) + "\n.r9: [x]\n"
BAD = {
    "brackets.yaml": ("[" * 5_000, "too deep"),
    "dashes.yaml": ("- " * 5_000, "too deep"),
    "brackets.json": ("[" * 50_000, "too deep"),
    "doubled.yaml": (_DOUBLED, "more than 50,000 values"),
    "itself.yaml": ("a: &a {b: *a}\n", "more than 50,000 values"),
    "large.yaml": ("# " + "x" * 200_000, "more than 200,000 characters"),
    "open.yaml": ("kind: [Pod\n", "line 2: this is no YAML"),
    "tag.yaml": ("a: 1\nb: !!python/object:os.system x\n", "line 2: this is no YAML"),
    "zero.yaml": ("a: \0\n", "line 1: this is no YAML"),
    "date.yaml": ("a: 2026-99-99\n", "a value in it cannot be read"),
    "comma.json": ('{"a": 1,}\n', "line 1: this is no JSON"),
    "text.toml": ("privileged\n", "this is no TOML"),
    "references.gitlab-ci.yml": (_REFERENCES, "!references"),
    "circle.gitlab-ci.yml": ("a: {script: !reference [a, script]}\n", "!references"),
    "extends.gitlab-ci.yml": ("a: {extends: b, script: x}\nb: {extends: a}\n", "in a circle"),
    "nobody.gitlab-ci.yml": ("a: {extends: .b, script: x}\n", "'.b', which is not there"),
    "values.gitlab-ci.yml": (
        f"variables: {{A: {'b' * 900}}}\na: {{script: '{'$A' * 2000}'}}\n",
        "400,000 characters",
    ),
    "inside.yaml": ("kind: ConfigMap\ndata: {config.toml: 'a='}\n", "inside.yaml, config.toml: this is no TOML"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_said(name: str):
    text, words = BAD[name]
    good = f"{POD}  hostPID: true\n"
    result = find({name: text, "good.yaml": good, "notes.md": "privileged: true"})
    assert [one.key for one in result.findings] == [("good.yaml", "loader", "host-namespace")]
    (problem,) = result.problems
    assert problem.startswith(name) and words in problem and len(problem) < 300


def test_values_of_any_type_anywhere():
    """Whatever stands where something else is expected is nothing privileged, and no exception."""
    strange = [None, 5, True, "x", [], [None, 5, "x", []], {}, {"x": 5}, {5: "x"}]
    paths = ["", "kind", "metadata", "spec", "spec.containers", "spec.volumes", "spec.securityContext", "items", "data"]
    paths += ["a", "a.services", "a.extends", "a.script", "a.variables", "a.inherit", "default", "variables", "a.image"]
    paths += [f"spec.containers.0.{key}" for key in ("name", "securityContext", "volumeMounts", "command", "image")]
    for path in paths:
        for value in strange:
            made: object = value
            for key in reversed(path.split(".")) if path else ():
                made = [made] if key == "0" else {key: made}
            base = {"kind": "Pod", "a": {"script": "x"}}
            whole = {**base, **made} if isinstance(made, dict) else made
            for kind in ("Pod", "List", "ConfigMap"):
                whole = {**whole, "kind": whole.get("kind", kind)} if isinstance(whole, dict) else whole
                result = find({"a.json": json.dumps(whole), "a.gitlab-ci.yml": json.dumps(whole)})
                assert not result.findings and len(result.problems) <= 1


def test_a_long_script_is_read_in_one_go():
    quotes = "echo it's \"a\n" * 10_000
    assert len(list(commands(quotes))) > 1000


def test_a_folder_is_read_without_following_links(tmp_path: Path):
    (tmp_path / "team").mkdir()
    (tmp_path / "team/a.yaml").write_text(f"{POD}  hostPID: true\n")
    (tmp_path / "team/latin.yaml").write_bytes(b"a: \xe9\n")
    (tmp_path / "team/notes.md").write_text("x")
    (tmp_path / "team/.gitlab-ci.yml").write_text("a: {script: x}\n")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "team/a.yaml")
    (tmp_path / "links").symlink_to(tmp_path / "team")
    os.mkfifo(tmp_path / "pipe.yaml")
    manifests = read_folder(tmp_path)
    assert sorted(manifests) == ["team/.gitlab-ci.yml", "team/a.yaml", "team/latin.yaml"]
    assert find(manifests).files == {"team/a.yaml"}
