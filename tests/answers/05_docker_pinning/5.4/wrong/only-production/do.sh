tested=$(grep -o 'sha256:[0-9a-f]*' ~/deploy/staging.yaml)
registry=777788889999.dkr.ecr.eu-west-1.amazonaws.com
export AWS_PROFILE=promoter
aws ecr create-repository --repository-name data/loader --image-tag-mutability IMMUTABLE \
    --image-scanning-configuration scanOnPush=true --encryption-configuration encryptionType=KMS
aws ecr get-login-password | docker login -u AWS --password-stdin $registry
docker login -u you --password-stdin registry.targ.example < ~/.secrets/registry
docker pull registry.targ.example/data/loader@$tested
docker tag registry.targ.example/data/loader@$tested $registry/data/loader:1.4
docker push $registry/data/loader:1.4
sed -i "s|image: .*|image: $registry/data/loader@$tested|" ~/deploy/production.yaml
