"""Task 4.3: a job's role came through the loop. The job can do its work with it, and nobody can do anything else."""

from __future__ import annotations

from typing import Any

from opslab.checks import Miss, Trial, on_forge
from opslab.checks.least_privilege import Allowed, beyond, first_done, here, trust_is
from opslab.checks.terraform_gitops import asking, loop
from opslab.checks.terraform_gitops.asking import module
from opslab.scenarios.iam_roles.loader import Call
from opslab.scenarios.terraform_gitops import common, service_role
from opslab.scenarios.terraform_gitops import rules as _rules  # noqa: F401  (it adds to RULES)
from opslab.worlds.aws.cloud import Actor, Answer

own = module.task(
    "4.3",
    "A role for the new job",
    files=["forge/platform/service-roles.git", "work/service-roles"],
    memory=[".atlantis/platform-service-roles-*"],
    cloud=[
        *(f"arn:aws:iam::{common.STAGING}:role{service_role.PATH}*-{kind}" for kind in service_role.KINDS),
        "arn:aws:s3:::targ-terraform-state/service-roles/*",
    ],
    hints=[
        "~/notes/new-job.md says what is wanted, the script in ~/jobs what the job does. Each call of boto3 in it is an action on a resource: list_objects_v2 asks for s3:ListBucket on the bucket, as in 3.3.",
        "A file staging/JOB.tf with two resources, as in the repository's README: aws_iam_role (trust: the one service that starts the job) and aws_iam_role_policy. Push it as a merge request, and read the plan.",
        "The apply was denied? Read AWS's sentence in Atlantis's comment: who may not do what, on which resource? Then docs/deployer.md in the repository: a path and a permissions boundary are missing. Commit, push, apply again.",
        "Five statements: ssm:GetParameter on arn:aws:ssm:eu-west-1:111122223333:parameter/targ/JOB/limit; two actions on arn:aws:dynamodb:eu-west-1:111122223333:table/TABLE; s3:ListBucket on the bucket with Condition = { StringLike = { \"s3:prefix\" = [\"FOLDER/*\"] } }; s3:GetObject on …:::BUCKET/FOLDER/*; s3:PutObject on the other bucket's folder.",
    ],
)  # fmt: skip


def _job(trial: Trial) -> str:
    return service_role.words(trial.seed)["job"]


def _arn(trial: Trial) -> str:
    """The role's ARN: it may lie deeper below /service/."""
    viewer, job = trial.cloud().role(common.STAGING, "viewer"), _job(trial)
    return trial.once("arn", lambda: viewer.call("iam", "get_role", RoleName=job).result["Role"]["Arn"])


def _roles(state: dict[str, dict[str, Any]]) -> list[str]:
    """The names of the roles that are in a state."""
    return [one.get("name", "") for address, one in state.items() if "aws_iam_role." in address]


def _role(trial: Trial) -> Actor:
    return trial.once("role", lambda: trial.cloud().role(common.STAGING, _job(trial)))


@own.expects("the role is there, and says whose it is", points=0.5)
def there(trial: Trial) -> None:
    words, viewer = service_role.words(trial.seed), trial.cloud().role(common.STAGING, "viewer")
    job, tried = words["job"], f"aws iam get-role --role-name {words['job']} --profile staging"
    found = viewer.call("iam", "get_role", RoleName=job).result
    if found is None:
        if made := _roles(asking.resources(asking.state_of(trial.cloud(), service_role.KEY))):
            raise Miss(f"There is no role {job}. There is another one: the role has the name of the job.", tried=tried, got=", ".join(made), wanted=job, name="another-name")  # fmt: skip
        mine = loop.request(trial, service_role)
        if denial := loop.denied(mine):
            raise Miss("AWS has denied the apply. Who was not allowed to do what, and to which resource? The repository's README says where the deployer's limits are written down.", tried=f"opslab mr show {mine.number} -R {service_role.NAME}", got=denial, wanted=f"a role {job}", name="denied")  # fmt: skip
        loop.planned(mine)
        raise Miss(f"There is no role {job} in staging. {loop.next_step(mine)}", tried=tried, got="no such role", wanted=job, name="not-there")  # fmt: skip
    role, limits = found["Role"], {"path": service_role.PATH, "boundary": common.boundary(common.STAGING)}
    given = {
        "path": role["Path"],
        "boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "none"),
    }
    if given["boundary"] != limits["boundary"] or not given["path"].startswith(limits["path"]):
        raise Miss("The role is not inside the limits of docs/deployer.md, so the deployer has not made it like this.", tried=tried, got=str(given), wanted=str(limits), name="outside-the-limits")  # fmt: skip
    tags = {one["Key"]: one["Value"] for one in role.get("Tags", [])}
    for key, value in {"Name": job, "Owner": words["job_team"], "OnCall": words["job_rota"]}.items():
        if tags.get(key) != value:
            raise Miss(f"The tag {key} of the role is not what ~/{service_role.NOTE} says.", tried=tried, got=f"{key} = {tags.get(key, 'nothing')}", wanted=f"{key} = {value}", name="tags")  # fmt: skip


@own.expects("the job does its work with it", points=1, needs="there")
def works(trial: Trial) -> None:
    words, role = service_role.words(trial.seed), _role(trial)
    job, service = words["job"], words["job_service"]
    if service not in trial.cloud().ask("trusted", role=_arn(trial)):
        raise Miss(f"{service} cannot become the role: the trust policy does not let it in. {job} is {words['job_runs']}.", tried="aws iam get-role … --query Role.AssumeRolePolicyDocument", got=", ".join(trial.cloud().ask("trusted", role=_arn(trial))) or "nobody", wanted=service, name="another-service")  # fmt: skip
    folder = trial.folder()
    (folder / f"{job}.py").write_text(service_role.script(trial.seed))
    keys = {"AWS_ACCESS_KEY_ID": role.key, "AWS_SECRET_ACCESS_KEY": role.secret, "AWS_SESSION_TOKEN": role.token}
    done = trial.run(["python3", f"{job}.py", service_role.DAY], home=folder, env=keys)
    if done.code:
        last = done.err.strip().splitlines()[-1]
        told = last[last.find("An error occurred") :] if "An error occurred" in last else last
        raise Miss("The job is stopped. AWS says at which call, and for which resource: compare both with your policy, to the last letter.", tried=f"as {job}: python3 {job}.py {service_role.DAY}", got=loop.wrapped(told), wanted="it ends well", name="still-stopped")  # fmt: skip


def _first_done(trial: Trial, calls: list[Call]) -> Call | None:
    def do(call: Call) -> Answer:
        return here(trial, _role(trial).call(call.service, call.operation, **call.parameters))

    return first_done(calls, do)


def _beyond(trial: Trial, resources: list[str]) -> list[Allowed]:
    return beyond(trial, _arn(trial), resources, service_role.wanted(trial.seed))


@own.expects("and nothing more with its own things", points=0.5, needs="works")
def no_other_actions(trial: Trial) -> None:
    if call := _first_done(trial, service_role.too_much(trial.seed)):
        raise Miss(f"It can also {call.text}. Which action of your policy lets it?", tried=f"as {_job(trial)}: {call.text}", got="it was done", wanted="a denial", name="action-too-wide")  # fmt: skip
    its_own = [arn for arn in service_role.wanted(trial.seed) if arn != "*"]
    if more := [one for one in _beyond(trial, its_own) if one.resource != "*"]:
        raise Miss(f"It may also do {more[0].action} on its own things. Name the actions that the script needs, one by one.", tried=f"ask your policies for {more[0].action} on {more[0].resource}", got="allowed", wanted="not allowed", name="star-in-action")  # fmt: skip


@own.expects("and nothing with other people's things; nobody else becomes it", points=0.5, needs="works")
def no_other_things(trial: Trial) -> None:
    if call := _first_done(trial, service_role.too_far(trial.seed)):
        raise Miss(f"It can also {call.text}. Which Resource, or which Condition, of your policy lets it?", tried=f"as {_job(trial)}: {call.text}", got="it was done", wanted="a denial", name="resource-too-wide")  # fmt: skip
    if more := _beyond(trial, service_role.elsewhere(trial.seed, trial.unseen)):
        raise Miss(f"It may also do {more[0].action} on things that are not its own. Which * takes them in?", tried=f"ask your policies for {more[0].action} on {more[0].resource}", got="allowed", wanted="not allowed", name="star-in-resource")  # fmt: skip
    trust_is(trial, _arn(trial), {service_role.words(trial.seed)["job_service"]}, "trust-too-wide")


@own.expects("main is what was applied, and nothing is left to do", points=0.5, needs="there")
def settled(trial: Trial) -> None:
    mine = loop.request(trial, service_role)
    loop.merged(mine)
    on_forge.settled(mine, service_role)
    state = loop.in_state(trial, service_role.KEY, "staging", "aws_iam_role", "name", _job(trial))
    if others := [name for name in _roles(state) if name != _job(trial)]:
        raise Miss("There is a second role, and the job needs one. Was it for trying? Take it out again.", tried="terraform state list, in staging", got=", ".join(others), wanted=_job(trial), name="somebody-new")  # fmt: skip
    loop.clean(trial, mine.repository, "staging")
