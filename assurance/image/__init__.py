"""Builds the container image without docker, and checks it as SageMaker would use it: `make image-check`.

``engine`` runs buildah and podman; ``base`` and ``build`` make the image; ``bench`` has what the checks share, and
``network`` speaks HTTP to a container without a network. The checks are in ``contents``, ``training``, ``processing``,
``serving`` and ``stopping``; ``__main__`` lists them in their order.
"""
