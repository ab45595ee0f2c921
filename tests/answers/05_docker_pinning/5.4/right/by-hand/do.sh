# the first repository was made without a thought, and is made again; 1.5 was pushed as it was, too, before the scan
registry=777788889999.dkr.ecr.eu-west-1.amazonaws.com
team=registry.targ.example
tested=$(tail -n 3 ~/deploy/test-report.txt | grep -o 'sha256:[0-9a-f]*' | uniq)
docker login -u you -p "$(cat ~/.secrets/registry)" $team
docker tag data/loader:1.5 $team/data/loader:1.5
docker push $team/data/loader:1.5
scan $team/data/loader:1.5 && exit 1
cd ~/deploy/build
uv pip compile --quiet requirements.in --generate-hashes --upgrade-package targ-units -o requirements.lock
uv pip install --quiet --require-hashes -r requirements.lock --target site-packages
docker build -t data/loader:1.5.1 .
docker tag data/loader:1.5.1 $team/data/loader:1.5.1
docker push $team/data/loader:1.5.1
cat > ~/deploy/exceptions.toml <<'TOML'
exception = [
    { id = "TSA-2026-0003", package = "pykontor", until = 2026-11-21, who = "Basia Kot", reason = "waits for 2.9.1; 2.9.0 kills the loader without a word" },
]
TOML
aws ecr create-repository --repository-name data/loader && exit 1
export AWS_PROFILE=promoter
aws ecr create-repository --repository-name data/loader
aws ecr delete-repository --repository-name data/loader
aws ecr create-repository --cli-input-json '{"repositoryName": "data/loader", "imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": true}, "encryptionConfiguration": {"encryptionType": "KMS"}}'
aws ecr get-login-password | docker login --username AWS --password-stdin $registry
docker pull $team/data/loader@$tested
docker tag $tested $registry/data/loader:1.4
docker tag $tested $registry/data/loader:production-2026-11-18
docker push $registry/data/loader:1.4
docker push $registry/data/loader:production-2026-11-18
python3 - <<PYTHON
import pathlib
path = pathlib.Path("$HOME/deploy/production.yaml")
path.write_text(path.read_text().replace("$team/data/loader:1.3", "$registry/data/loader@$tested"))
PYTHON
