"""A registry of images for the worlds: it speaks the OCI distribution API v1.1 to any client, and keeps plain files.

names       what repositories, tags and digests are called
manifests   what is in a manifest
errors      refusals, as the API wants them
store       blobs, uploads, manifests and tags in a folder
team        the front door of the team's registry: users with passwords
ecr         the front door of an AWS account's registry: IAM decides, images are those of the organisation
server      HTTP, on a port of the loopback and on a unix socket
client      push, pull and copy without docker or skopeo
tools       what skopeo and podman must be told about registries on this machine

    >>> from opslab.worlds.images.registry.server import Registry
    >>> from opslab.worlds.images.registry.team import Team, User
    >>> users = {"ana": User("a-password", {"clicks/*": "pull push"})}
    >>> with Registry(Team("workspace/registry", users)) as registry:                          # doctest: +SKIP
    ...     print(f"skopeo copy oci:image docker://{registry.address}/clicks/loader:1.0")
"""
