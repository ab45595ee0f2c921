"""What can be put into a manifest: things that are privileged in ways that are easy to miss, and things that only look like it.

Each recipe writes one manifest, and remembers what it has put in. `estate.py` says how many of each an estate has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from opslab.worlds.runners.render import MERGE, YES, Anchored, Block, Reference
from opslab.worlds.runners.workloads import PYTHONS, REGION, REGISTRY, Sheet

Recipe = Callable[[Sheet], None]
PRIVILEGED = {"privileged": True}
NOT_COUNTED = {"runAsUser": 0}
DOCKER = "docker:27-cli"
DIND = "docker:27-dind"
SOCKETS = (
    ("/var/run/docker.sock", DOCKER, "docker"),
    ("/run/containerd/containerd.sock", f"{REGISTRY}/tools/nerdctl:1.7", "nerdctl"),
    ("/run/podman/podman.sock", "quay.io/podman/stable:v5.2", "podman --remote"),
)
"""Where container runtimes listen; and an image with a client, and its command."""

TLS = {"DOCKER_HOST": "tcp://docker:2376", "DOCKER_TLS_CERTDIR": "/certs", "DOCKER_TLS_VERIFY": "1"}


# ---- Kubernetes: privileged -------------------------------------------------------------------------------------------


def init_container(sheet: Sheet) -> None:
    """It prepares the machine, and then the ordinary container starts."""
    name = sheet.name("tune", "prepare", "sysctl", "raise-limits")
    command = [
        "sh",
        "-c",
        sheet.dice.choice(("sysctl -w vm.max_map_count=262144", "sysctl -w net.core.somaxconn=4096")),
    ]
    first = sheet.container(
        name, image="busybox:1.36", harmless=False, command=command, securityContext={**NOT_COUNTED, **PRIVILEGED}
    )
    sheet.add(sheet.workload(sheet.pod(first=(first,)), sheet.dice.choice(("Deployment", "StatefulSet"))))
    sheet.plant(name, "privileged", "node-setting", "it is an init container")


def dind_sidecar(sheet: Sheet) -> None:
    """The daemon is not in the container that builds, but beside it."""
    main, name = sheet.main(), sheet.name("engine", "daemon", "helper")
    builds = sheet.container(main, image=DOCKER, command=["sh", "-c", f"docker build -t {sheet.image} /work"])
    daemon = sheet.container(
        name, image=DIND, harmless=False, args=["--storage-driver=overlay2"], securityContext=PRIVILEGED
    )
    sheet.add(sheet.workload(sheet.pod(builds, daemon), sheet.dice.choice(("CronJob", "Deployment"))))
    sheet.plant(name, "privileged", "build-without-daemon", "it stands beside the container that does the work")


def bucket_mount(sheet: Sheet) -> None:
    """No word of privileged: a capability that is nearly as much."""
    name = sheet.main()
    context = {"capabilities": {"drop": ["ALL"], "add": sheet.dice.choice((["SYS_ADMIN"], ["CHOWN", "SYS_ADMIN"]))}}
    command = ["sh", "-c", f"s3fs targ-{sheet.app}-staging /data -o endpoint={REGION} && python run.py"]
    sheet.add(
        sheet.workload(sheet.pod(sheet.container(name, harmless=False, command=command, securityContext=context)))
    )
    sheet.plant(name, "capability", "aws-api", "SYS_ADMIN is a capability, and nearly all of root")


def all_capabilities(sheet: Sheet) -> None:
    """privileged: false, and everything by name."""
    name = sheet.main()
    context = {"privileged": False, "capabilities": {"add": [sheet.dice.choice(("ALL", "SYS_PTRACE", "NET_ADMIN"))]}}
    sheet.add(sheet.workload(sheet.pod(sheet.container(name, harmless=False, securityContext=context))))
    sheet.plant(name, "capability", "delete", "privileged is false, and what it adds is in its capabilities")


def host_pid(sheet: Sheet) -> None:
    """A line of the pod, far below its containers."""
    pod = sheet.pod(sheet.container(sheet.main()), hostPID=True, terminationGracePeriodSeconds=30)
    sheet.add(sheet.workload(pod, sheet.dice.choice(("DaemonSet", "Deployment"))))
    sheet.plant(sheet.app, "host-namespace", "delete", "it is a field of the pod, and of no container")


def host_network(sheet: Sheet) -> None:
    """The same, deep in a CronJob."""
    pod = sheet.pod(sheet.container(sheet.main()), hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    sheet.add(sheet.workload(pod, "CronJob"))
    sheet.plant(sheet.app, "host-namespace", "delete", "it is a field of the pod, deep in a CronJob")


def docker_socket(sheet: Sheet) -> None:
    """The volume has a harmless name, and the mount tells nothing."""
    name, volume = sheet.main(), sheet.dice.choice(("tools", "shared", "engine", "run"))
    socket, image, client = sheet.dice.choice(SOCKETS)
    mount = {"name": volume, "mountPath": sheet.dice.choice((socket, "/engine/socket")), "readOnly": True}
    command = ["sh", "-c", f"{client} build -t {sheet.image} . && {client} push {sheet.image}"]
    builds = sheet.container(name, image=image, command=command, volumeMounts=[mount])
    sheet.add(sheet.workload(sheet.pod(builds, volumes=[{"name": volume, "hostPath": {"path": socket}}])))
    sheet.plant(name, "runtime-socket", "build-without-daemon", "it is a volume, and read-only does not help")


def host_path(sheet: Sheet) -> None:
    """A folder of the machine, in a helper."""
    name = sheet.helper()
    path = sheet.dice.choice(("/", "/etc/kubernetes", "/var/lib/kubelet", "/home/deploy/.aws", "/mnt/fast"))
    helper = sheet.container(name, volumeMounts=[{"name": "data", "mountPath": "/data"}])
    volumes = [{"name": "data", "hostPath": {"path": path, "type": "Directory"}}]
    sheet.add(sheet.workload(sheet.pod(sheet.container(sheet.main()), helper, volumes=volumes)))
    sheet.plant(name, "host-path", "own-volume", "it is a volume of the pod")


def escalation(sheet: Sheet) -> None:
    """Between lines that are all right."""
    name = sheet.main()
    context = {"runAsNonRoot": True, "allowPrivilegeEscalation": True, "capabilities": {"drop": ["ALL"]}}
    sheet.add(sheet.workload(sheet.pod(sheet.container(name, harmless=False, securityContext=context))))
    sheet.plant(name, "escalation", "delete", "it stands between lines that are all right")


def proc_mount(sheet: Sheet) -> None:
    """A field that hardly anybody knows."""
    name = sheet.main()
    context = {"runAsUser": 10001, "procMount": "Unmasked"}
    sheet.add(sheet.workload(sheet.pod(sheet.container(name, harmless=False, securityContext=context))))
    sheet.plant(name, "proc-mount", "delete", "procMount is a field that hardly anybody knows")


def unconfined(sheet: Sheet) -> None:
    """For the whole pod, and one of two containers has a profile of its own."""
    name, other = sheet.main(), sheet.helper()
    kind = sheet.dice.choice(("seccompProfile", "appArmorProfile"))
    own = sheet.container(other, harmless=False, securityContext={kind: {"type": "RuntimeDefault"}})
    pod = {"securityContext": {kind: {"type": "Unconfined"}}, "containers": [sheet.container(name), own]}
    sheet.add(sheet.workload(pod))
    sheet.plant(
        name, "unconfined", "delete", "it is said for the pod, and counts for containers without a profile of their own"
    )
    sheet.decoy(other, "its own profile counts, not the pod's")


def anchor(sheet: Sheet) -> None:
    """Said once, and meant twice."""
    name, other = sheet.main(), sheet.helper()
    context = Anchored("hardening", {"privileged": True, "readOnlyRootFilesystem": True})
    containers = [sheet.container(one, harmless=False, securityContext=context) for one in (other, name)]
    sheet.add(sheet.workload({"containers": containers}))
    sheet.plant(other, "privileged", "delete", "its anchor is called hardening")
    sheet.plant(name, "privileged", "delete", "it refers to an anchor")


def merge_key(sheet: Sheet) -> None:
    """Merged from the container above; a third one says something else."""
    names = [sheet.main(), sheet.helper(), sheet.helper()]
    content = sheet.container(names[0], harmless=False, securityContext=PRIVILEGED)
    base = Anchored("base", content)
    merged = {MERGE: base, "name": names[1]}
    mended = {MERGE: base, "name": names[2], "securityContext": {"privileged": False}}
    sheet.add(sheet.workload({"containers": [base, merged, mended]}))
    sheet.plant(names[0], "privileged", "delete", "it is the first of three that are nearly the same")
    sheet.plant(names[1], "privileged", "delete", "it merges another container (<<)")
    sheet.decoy(names[2], "it merges a privileged container, and says privileged: false itself")


def later_document(sheet: Sheet) -> None:
    """A file with several documents, the last of which is it."""
    name = sheet.name("compact", "vacuum", "cleanup")
    nightly = sheet.pod(sheet.container(name, harmless=False, securityContext={"privileged": True}))
    sheet.add(sheet.config(settings__ini=Block("[log]\nlevel = info\n")), sheet.service())
    sheet.add(sheet.workload(sheet.pod(sheet.container(sheet.main())), "Deployment"))
    sheet.add(sheet.workload(nightly, "CronJob", f"{sheet.app}-nightly"))
    sheet.plant(name, "privileged", "delete", "it is in the last of several documents")


def yes_for_true(sheet: Sheet) -> None:
    """A search for `privileged: true` does not find it."""
    name = sheet.main()
    sheet.add(sheet.workload(sheet.pod(sheet.container(name, harmless=False, securityContext={"privileged": YES}))))
    sheet.plant(name, "privileged", "delete", "yes is true, in the YAML that Kubernetes reads")


def ephemeral_dump(sheet: Sheet) -> None:
    """What `kubectl get pods -o json` shows: somebody has debugged, and the container is still there."""
    name = sheet.name("debugger-x7k2p", "debugger-m4t9z")
    ends = ("5c9-qk2", "5c9-zz4")
    pods = [sheet.workload(sheet.pod(sheet.container(sheet.main())), "Pod", f"{sheet.app}-{end}") for end in ends]
    spec = sheet.dice.choice(pods)["spec"]
    guest = {"name": name, "image": "busybox:1.36", "command": ["nsenter", "-t", "1", "-m", "sh"]}
    target = {"targetContainerName": spec["containers"][0]["name"]}
    spec["ephemeralContainers"] = [{**guest, **target, "securityContext": {"privileged": True}}]
    sheet.add_json({"apiVersion": "v1", "kind": "List", "items": pods})
    sheet.plant(name, "privileged", "delete", "it is an ephemeral container, in a list, in JSON")


def json_manifest(sheet: Sheet) -> None:
    """The same as elsewhere, in another language."""
    name = sheet.helper()
    helper = sheet.container(name, harmless=False, securityContext={"privileged": True})
    made = sheet.workload(sheet.pod(sheet.container(sheet.main()), helper), "Deployment")
    sheet.add_json(made, sheet.dice.choice((None, 2)))
    sheet.plant(name, "privileged", "delete", "it is JSON")


def rendered_agent(sheet: Sheet) -> None:
    """What helm has rendered: documents with their source, a DaemonSet among them."""
    name = sheet.name("agent", "collector")
    volumes = [{"name": "root", "hostPath": {"path": "/"}}]
    agent = sheet.container(name, volumeMounts=[{"name": "root", "mountPath": "/host", "readOnly": True}])
    daemon = sheet.workload(sheet.pod(agent, volumes=volumes, hostPID=True), "DaemonSet")
    sheet.add(sheet.config(agent__yaml=Block("report:\n  privileged: true\n")), daemon)
    sheet.comment("kind: ConfigMap", f"Source: {sheet.app}/templates/config.yaml")
    sheet.comment("kind: DaemonSet", f"Source: {sheet.app}/templates/daemonset.yaml")
    sheet.plant(name, "host-path", "own-volume", "it was rendered from a chart that nobody reads")
    sheet.plant(sheet.app, "host-namespace", "delete", "it is a field of the pod, and of no container")


def config_map_runner(sheet: Sheet) -> None:
    """A runner's configuration as text in a ConfigMap: TOML in YAML."""
    name = f"{sheet.app}-jobs"
    text = sheet.runner(name, "kubernetes", ("privileged = true",))
    sheet.add(sheet.config(config__template__toml=Block(text)))
    sheet.add(
        sheet.workload(
            sheet.pod(sheet.container(sheet.main(), image="gitlab/gitlab-runner:alpine-v17.5.0")), "Deployment"
        )
    )
    sheet.plant(
        name,
        "privileged",
        "build-without-daemon",
        "it is TOML inside of YAML; the pod of the runner itself is harmless",
    )


# ---- Kubernetes: only looks like it -----------------------------------------------------------------------------------


def commented(sheet: Sheet) -> None:
    """It was privileged once."""
    name = sheet.main()
    sheet.add(sheet.workload(sheet.pod(sheet.container(name))))
    sheet.comment(sheet.image, "privileged: true  (until the sockets moved out of /dev; no longer needed)")
    sheet.decoy(name, "that line is a comment")


def says_false(sheet: Sheet) -> None:
    """The word, with false behind it."""
    name = sheet.main()
    context = {"privileged": False, "allowPrivilegeEscalation": False, "procMount": "Default"}
    pod = sheet.pod(sheet.container(name, harmless=False, securityContext=context), hostNetwork=False, hostPID=False)
    sheet.add(sheet.workload(pod))
    sheet.decoy(name, "it says false")


def in_a_name(sheet: Sheet) -> None:
    """A name is a name."""
    name = sheet.name("privileged-report", "privileged-accounts")
    labels = {"name": "SCAN_PRIVILEGED", "value": "true"}
    sheet.add(sheet.workload(sheet.pod(sheet.container(name, env=[labels])), name=f"{sheet.app}-privileged"))
    sheet.decoy(name, "the word is only in names, and in a variable of the program")


def text_true(sheet: Sheet) -> None:
    """A text is no yes."""
    name = sheet.main()
    sheet.add(sheet.workload(sheet.pod(sheet.container(name, harmless=False, securityContext={"privileged": "true"}))))
    sheet.decoy(name, "'true' in quotes is text; the API server refuses the manifest, and nothing runs")


def pod_level(sheet: Sheet) -> None:
    """In the wrong place, where it means nothing."""
    pod = sheet.pod(sheet.container(sheet.main()), securityContext={"privileged": True, "fsGroup": 10001})
    sheet.add(sheet.workload(pod))
    sheet.decoy(sheet.app, "a pod's securityContext has no field privileged; only a container's has")


def own_socket(sheet: Sheet) -> None:
    """docker.sock by name, of a builder without rights, in a volume of the pod's own."""
    name, builder = sheet.main(), sheet.name("builder", "buildkit")
    mount = {"name": "docker-sock", "mountPath": "/var/run"}
    build = sheet.container(
        name, volumeMounts=[mount], env=[{"name": "DOCKER_HOST", "value": "unix:///var/run/docker.sock"}]
    )
    rootless = sheet.container(builder, image="quay.io/buildah/stable:v1.37", volumeMounts=[dict(mount)])
    sheet.add(sheet.workload(sheet.pod(build, rootless, volumes=[{"name": "docker-sock", "emptyDir": {}}])))
    sheet.decoy(name, "the volume docker-sock is an emptyDir, not the machine's socket")


def small_capability(sheet: Sheet) -> None:
    """One of those that a container may have."""
    name = sheet.main()
    context = {"capabilities": {"drop": ["ALL"], "add": [sheet.dice.choice(("NET_BIND_SERVICE", "CHOWN", "SETFCAP"))]}}
    sheet.add(sheet.workload(sheet.pod(sheet.container(name, harmless=False, securityContext=context))))
    sheet.decoy(name, "the baseline allows this capability")


def cluster_policy(sheet: Sheet) -> None:
    """A rule against it."""
    message = "privileged: true is not allowed in namespace data"
    pattern = {"spec": {"containers": [{"=(securityContext)": {"=(privileged)": "false"}}]}}
    rules = [{"name": "no-privileged", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}}]
    rules[0]["validate"] = {"message": message, "pattern": pattern}
    spec: dict[str, Any] = {"validationFailureAction": "Audit", "rules": rules}
    about = {"name": f"disallow-privileged-{sheet.app}"}
    sheet.add({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": about, "spec": spec})
    sheet.decoy(about["name"], "it is a policy about pods, and no pod")


def last_applied(sheet: Sheet) -> None:
    """What was applied before, as text in an annotation."""
    name = sheet.main()
    made = sheet.workload(sheet.pod(sheet.container(name)), "Deployment")
    before = {"spec": {"template": {"spec": {"containers": [{"name": name, "securityContext": {"privileged": True}}]}}}}
    made["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(before)}
    sheet.add(made)
    sheet.decoy(name, "the annotation is the text of what was applied before")


def namespace_label(sheet: Sheet) -> None:
    """What a namespace lets in is not yet in it."""
    labels = {"pod-security.kubernetes.io/enforce": "privileged", "pod-security.kubernetes.io/warn": "baseline"}
    name = sheet.main()
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{sheet.app}-jobs", "labels": labels}}
    sheet.add(space, sheet.workload(sheet.pod(sheet.container(name))))
    sheet.decoy(name, "the namespace would allow it, and this pod does not ask for it")


def harmless_anchor(sheet: Sheet) -> None:
    """An anchor with a frightening name."""
    names = [sheet.main(), sheet.helper()]
    context = Anchored("privileged", {"privileged": False, "runAsUser": 10001})
    containers = [sheet.container(one, harmless=False, securityContext=context) for one in names]
    sheet.add(sheet.workload({"containers": containers}))
    sheet.decoy(names[1], "the anchor is called privileged, and says false")


# ---- Kubernetes: plain ------------------------------------------------------------------------------------------------


def plain(sheet: Sheet) -> None:
    """Nothing to see."""
    made = sheet.workload(sheet.pod(sheet.container(sheet.main())))
    if sheet.dice.random() < 0.15:
        sheet.add_json(made)
    else:
        sheet.add(made, *([sheet.service()] if made["kind"] == "Deployment" and sheet.dice.random() < 0.5 else []))


# ---- runners ----------------------------------------------------------------------------------------------------------


def _names(sheet: Sheet, count: int) -> list[str]:
    return [f"{sheet.app}-{number}" for number in range(1, count + 1)]


def one_of_several(sheet: Sheet) -> None:
    """All alike but one."""
    names = _names(sheet, sheet.dice.randint(3, 5))
    bad = sheet.dice.choice(names[1:])
    tables = [
        sheet.runner(name, lines=("privileged = true",) if name == bad else ("privileged = false",)) for name in names
    ]
    sheet.raw = sheet.runners(*tables)
    sheet.plant(bad, "privileged", "build-without-daemon", "it is one of several runners in the file")


def services_privileged(sheet: Sheet) -> None:
    """Not the job, but what stands beside it."""
    names = _names(sheet, 2)
    lines = ("privileged = false", "services_privileged = true", 'allowed_privileged_services = ["docker:*-dind"]')
    sheet.raw = sheet.runners(sheet.runner(names[0], lines=lines), sheet.runner(names[1]))
    sheet.plant(names[0], "privileged", "build-without-daemon", "privileged is false, and services_privileged is true")


def runner_socket(sheet: Sheet) -> None:
    """Every job gets the daemon of the machine."""
    names = _names(sheet, 2)
    volumes = ('volumes = ["/cache", "/var/run/docker.sock:/var/run/docker.sock"]',)
    sheet.raw = sheet.runners(sheet.runner(names[0]), sheet.runner(names[1], lines=volumes))
    sheet.plant(names[1], "runtime-socket", "build-without-daemon", "it is one of the volumes of every job")


def kubernetes_context(sheet: Sheet) -> None:
    """The securityContext of one of the containers that a job has."""
    names = _names(sheet, 2)
    part = sheet.dice.choice(("build", "service", "helper"))
    more = (
        f"    [runners.kubernetes.{part}_container_security_context]\n      privileged = true\n      run_as_user = 0\n"
    )
    sheet.raw = sheet.runners(
        sheet.runner(names[0], "kubernetes", ("privileged = false",), more), sheet.runner(names[1], "kubernetes")
    )
    sheet.plant(
        names[0], "privileged", "build-without-daemon", "one of the job's containers has a securityContext of its own"
    )


def runner_network(sheet: Sheet) -> None:
    """Two lines without the word."""
    (name,) = _names(sheet, 1)
    sheet.raw = sheet.runners(
        sheet.runner(name, lines=('network_mode = "host"', 'security_opt = ["seccomp:unconfined"]'))
    )
    sheet.plant(name, "host-namespace", "delete", "network_mode is host")
    sheet.plant(name, "unconfined", "delete", "it is an option of docker's")


def other_executor(sheet: Sheet) -> None:
    """A section that is left over from another executor."""
    names = _names(sheet, 2)
    left = "  [runners.docker]\n    privileged = true\n    volumes = ['/var/run/docker.sock:/var/run/docker.sock']\n"
    sheet.raw = sheet.runners(sheet.runner(names[0], "kubernetes", more=left), sheet.runner(names[1]))
    sheet.decoy(names[0], "its executor is kubernetes, and its section for docker means nothing")


def commented_runner(sheet: Sheet) -> None:
    """A comment, and a name."""
    names = [f"{sheet.app}-unprivileged", *_names(sheet, 1)]
    sheet.raw = sheet.runners(*[sheet.runner(name) for name in names])
    sheet.comment('executor = "docker"', "privileged = true was here, for docker:dind")
    sheet.decoy(names[0], "the line is a comment, and the word is in a name")


def plain_runners(sheet: Sheet) -> None:
    """Nothing to see."""
    executor = sheet.dice.choice(("docker", "kubernetes"))
    sheet.raw = sheet.runners(*[sheet.runner(name, executor) for name in _names(sheet, sheet.dice.randint(1, 3))])


# ---- pipelines --------------------------------------------------------------------------------------------------------


def _build(sheet: Sheet, **more: Any) -> dict[str, Any]:
    tag = f"{REGISTRY}/{sheet.app}:$CI_COMMIT_SHORT_SHA"
    return {"stage": "build", "image": DOCKER, **more, "script": [f"docker build -t {tag} .", f"docker push {tag}"]}


def dind_with_tls(sheet: Sheet) -> None:
    """With TLS, so it must be safe."""
    services = sheet.dice.choice(
        ([DIND], [{"name": DIND, "alias": "docker"}], ["postgres:16", "docker:27-dind-rootless"])
    )
    name = sheet.name("build-image", "publish", "package")
    pipeline = sheet.pipeline({name: _build(sheet, services=services, variables=dict(TLS))})
    sheet.add(pipeline)
    sheet.plant(name, "docker-in-docker", "build-without-daemon", "TLS protects the way to the daemon, not the machine")


def mirrored_dind(sheet: Sheet) -> None:
    """From a mirror, with a variable for the version."""
    name = sheet.name("build-image", "publish", "package")
    services = [{"name": f"{REGISTRY}/mirror/docker:$DOCKER_VERSION", "alias": "docker", "command": ["--tls=false"]}]
    sheet.add(sheet.pipeline({name: _build(sheet, services=services)}, variables={"DOCKER_VERSION": "27-dind"}))
    sheet.plant(name, "docker-in-docker", "build-without-daemon", "the tag stands in a variable")


def default_services(sheet: Sheet) -> None:
    """For all jobs, also those that do not need it; one has said no."""
    name = sheet.name("build-image", "publish", "package")
    pipeline = sheet.pipeline({name: _build(sheet)}, default={"services": [DIND]}, variables=dict(TLS))
    pipeline["deploy"]["services"] = []
    sheet.add(pipeline)
    sheet.plant(name, "docker-in-docker", "build-without-daemon", "it inherits the services of default")
    sheet.plant("test", "docker-in-docker", "delete", "it inherits the services of default, and needs none")
    sheet.decoy("deploy", "services: [] takes nothing over from default")


def extended(sheet: Sheet) -> None:
    """From a hidden job, over two steps."""
    name = sheet.name("build-image", "publish", "package")
    hidden = {
        ".with-engine": {"services": [DIND]},
        ".build": {"extends": ".with-engine", "stage": "build", "variables": dict(TLS)},
    }
    sheet.add(sheet.pipeline({**hidden, name: {"extends": [".build"], **_build(sheet)}}))
    sheet.plant(name, "docker-in-docker", "build-without-daemon", "it extends a hidden job, which extends another one")
    sheet.decoy(".with-engine", "a job whose name begins with a dot never runs")


def referenced(sheet: Sheet) -> None:
    """By !reference."""
    name = sheet.name("build-image", "publish", "package")
    job = _build(sheet, services=Reference([".engine", "services"]))
    sheet.add(sheet.pipeline({".engine": {"services": ["redis:7", DIND]}, name: job}))
    sheet.plant(name, "docker-in-docker", "build-without-daemon", "its services are a !reference")


def merged_job(sheet: Sheet) -> None:
    """By an anchor."""
    name = sheet.name("build-image", "publish", "package")
    engine = Anchored("engine", {"services": [DIND], "variables": dict(TLS)})
    sheet.add(sheet.pipeline({".engine": engine, name: {MERGE: engine, **_build(sheet)}}))
    sheet.plant(name, "docker-in-docker", "build-without-daemon", "it merges another job (<<)")


def docker_run(sheet: Sheet) -> None:
    """In the middle of a script, in the middle of a command."""
    name = sheet.name("integration", "smoke test", "contract")
    script = f'set -e\nmake fixtures\ndocker run --rm -e TARG_ENV=staging \\\n  -v "$PWD/out:/out" --privileged \\\n  {sheet.image} pytest -q'
    sheet.add(sheet.pipeline({name: {"stage": "test", "tags": ["shell"], "script": [Block(script + "\n")]}}))
    sheet.plant(name, "privileged", "delete", "it is an option in a script of several lines")


def options_variable(sheet: Sheet) -> None:
    """The option stands in a variable, far from the script."""
    name = sheet.name("integration", "smoke test", "contract")
    options = sheet.dice.choice(
        (("--privileged", "privileged"), ("--cap-add=SYS_ADMIN", "capability"), ("--pid host", "host-namespace"))
    )
    script = [f"docker run --rm $RUN_OPTIONS {sheet.image} pytest -q"]
    job = {"stage": "test", "tags": ["shell"], "script": script}
    sheet.add(sheet.pipeline({name: job}, variables={"RUN_OPTIONS": f"-i {options[0]}", "TARG_ENV": "staging"}))
    sheet.plant(name, options[1], "delete", "the option stands in a variable")


def socket_in_script(sheet: Sheet) -> None:
    """A container that gets the daemon which started it."""
    name = sheet.name("build-image", "publish", "package")
    run = f"docker run --rm -v /var/run/docker.sock:/var/run/docker.sock {REGISTRY}/tools/pack:0.35 build {sheet.app}"
    sheet.add(
        sheet.pipeline({name: {"stage": "build", "tags": ["shell"], "before_script": [run], "script": ["make push"]}})
    )
    sheet.plant(name, "runtime-socket", "build-without-daemon", "it is a volume of docker run")


def tool_flag(sheet: Sheet) -> None:
    """The option of another program."""
    name = sheet.name("audit", "compliance")
    job = {
        "stage": "test",
        "tags": ["shell"],
        "script": [f"docker run --rm {REGISTRY}/pod-audit:2.1 list --privileged --pid=host"],
    }
    sheet.add(sheet.pipeline({name: job}))
    sheet.decoy(name, "--privileged stands behind the image: it is an option of the program in the container")


def said_not_done(sheet: Sheet) -> None:
    """Words about it."""
    name = sheet.name("privileged-check", "policy")
    script = [
        'echo "docker run --privileged is not allowed here"',
        "! grep -rn 'privileged: true' k8s/  # docker run --privileged",
    ]
    sheet.add(sheet.pipeline({name: {"stage": "test", "image": sheet.dice.choice(PYTHONS), "script": script}}))
    sheet.decoy(name, "it prints the words, and looks for them")


def unused_template(sheet: Sheet) -> None:
    """A hidden job that nobody extends, and variables that are left over."""
    name = sheet.name("build-image", "publish", "package")
    buildah = {"stage": "build", "image": "quay.io/buildah/stable:v1.37", "variables": {"STORAGE_DRIVER": "vfs", **TLS}}
    tag = f"{REGISTRY}/{sheet.app}:$CI_COMMIT_SHORT_SHA"
    buildah["script"] = [f"buildah bud --isolation chroot -t {tag} .", f"buildah push {tag}"]
    sheet.add(sheet.pipeline({".dind": {"services": [DIND]}, name: buildah}))
    sheet.decoy(".dind", "a job whose name begins with a dot never runs, and nobody extends it")
    sheet.decoy(name, "the variables of TLS are left over; buildah needs no daemon")


def switched_off(sheet: Sheet) -> None:
    """The option, with false."""
    name = sheet.name("integration", "smoke test")
    job = {
        "stage": "test",
        "tags": ["shell"],
        "script": [f"docker run --rm --privileged=false {sheet.image} pytest -q"],
    }
    sheet.add(sheet.pipeline({name: job}))
    sheet.decoy(name, "the option is false")


def plain_pipeline(sheet: Sheet) -> None:
    """Nothing to see."""
    sheet.add(sheet.pipeline({}))
