"""A local AWS for an app that trains and serves models: MiniStack with SageMaker and real Lambda environments.

It adds to MiniStack: SageMaker (models, registry, jobs, endpoints), Step Functions' tasks of it, Lambda environments on
the Lambda Runtime API, the metrics and alarms of AWS's services, deployment of a cloud assembly without the CDK command
line, access by one random key alone, and patches where MiniStack differs from AWS. Roles are enforced everywhere.

A project describes itself in a `Project`, and brings its stack up on this machine:

    from localcloud import cloud
    from localcloud.project import Project

    PROJECT = Project(name="example", prefix="EXAMPLE_", ...)
    here = cloud.up(PROJECT, progress=print)          # start and deploy, as far as that is still to do
    here.session().client("s3").list_buckets()
    cloud.current(PROJECT)                            # the running cloud, or None
    cloud.down(PROJECT)                               # keep the data; wipe=True deletes them

The model container runs without a cloud, too:

    from localcloud.containers.container import Container

    with Container(PROJECT, Path("model.tar.gz")) as container:
        answer = container.invoke(path.read_bytes())

The package imports nothing of the project that it runs. README.md beside this file has a whole example.
"""
