"""Container images without an engine: built from a Dockerfile, kept as OCI layouts, run in the jail, looked into.

dockerfile  reads a Dockerfile, and says what is wrong with it      references  names of images
context     the folder that COPY takes from, .dockerignore          accounts    USER and --chown
layers      archives of files, written the same each time           store       images on disk, tags and digests
build       Dockerfile to image, with the cache                     base        the base image, of this machine's Python
rootfs      unpacked files and commands in them (worker: its root)  container   running an image
inspection  history, packages, texts that should not be there       registry/   push and pull

    >>> from opslab.worlds.images import base, build, container, store
    >>> images = store.Store("workspace/images")                                            # doctest: +SKIP
    >>> base.install(images, "python:3-slim")                                               # doctest: +SKIP
    >>> done = build.build("workspace/loader", images, tag="loader:1.0")                    # doctest: +SKIP
    >>> container.run(images, done.image).out                                               # doctest: +SKIP
"""
