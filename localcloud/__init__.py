"""The local cloud: the synthesised stack in an emulator on this machine, with the real functions and containers.

    from localcloud import cloud

    here = cloud.up(progress=print)          # start and deploy, as far as that is still to do
    here.session().client("s3").list_buckets()
    cloud.current()                          # the running cloud, or None
    cloud.down()                             # keep the data; down(wipe=True) deletes them

    from localcloud.containers.container import Container

    with Container(Path("model.tar.gz")) as container:   # the model container alone, without a cloud
        answer = container.invoke(path.read_bytes())

State is kept in `$WETREAD_HOME`, by default `.wetread` in the repository.
"""
