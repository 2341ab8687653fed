"""A PostgreSQL server for each DB instance of a template.

AWS: an AWS::RDS::DBInstance is a server, told by `Endpoint.Address` and `Endpoint.Port`. With
`ManageMasterUserPassword` its master user's password is in a secret that RDS makes under the key of
`MasterUserSecret`, names in `MasterUserSecret.SecretArn`, and deletes with the instance (Amazon RDS User
Guide, "Password management with Amazon RDS and AWS Secrets Manager"). What it names must be there. One with
`DeletionProtection` is not deleted, and under a policy `Snapshot`, the default, a final snapshot is made
where it is deleted or replaced (CloudFormation Template Reference, AWS::RDS::DBInstance, DeletionPolicy,
UpdateReplacePolicy). A role of the master user is no superuser.
MiniStack: makes a record, believes every name in it, ignores `ManageMasterUserPassword` and
`DeletionProtection`, and a replaced instance leaves no snapshot.
Here: a server of rig/postgres for each, at `localhost` on a port that was free, for as long as the instance
lives and no longer than MiniStack. A final snapshot keeps the server's files; `DBSnapshotIdentifier` makes an
instance of a copy of them, under a new password of the master user. ModifyDBInstance with
`RotateMasterUserPassword` changes it as RDS does every seven days, which is not done here. A snapshot that is
made by hand is a record only, as are engine versions, parameter groups, storage, and other engines than
`postgres`.

`KEYBOOT_RIG_DATABASES` is the folder of all servers, by default `db-<port>` in the folder for temporary files;
in it, `authority/ca.pem` has the authority of all certificates as soon as MiniStack is up. It is `none` for no
servers: then an instance is at a port where nobody listens.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ministack import app
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import cloudformation, ec2, kms, rds, secretsmanager
from ministack.services.cloudformation import provisioners, stacks

from template_types import Made, answered, flag, mends

TARGETS = {
    "ministack.services.cloudformation.provisioners:_rds_db_instance_create": "c81a8d083eb0ec6a",
    "ministack.services.cloudformation.provisioners:_rds_db_instance_update": "a0d94f23a9799822",
    "ministack.services.cloudformation.provisioners:_rds_db_instance_delete": "86c436bd67ade8fc",
    "ministack.services.cloudformation.provisioners:_rds_db_instance_snapshot": "64725978960fe305",
    "ministack.services.cloudformation.provisioners:_rds_db_instance_attrs": "0e5fe28a676b4de1",
    "ministack.services.cloudformation.provisioners:_snapshot_id": "236079649858f03e",
    "ministack.services.cloudformation.stacks:_runs_on_worker_thread": "23955511141f8481",
    "ministack.services.cloudformation.stacks:_delete_resource": "9e9ba54fb4281d65",
    "ministack.services.cloudformation.stacks:_resource_policy": "2f235047834ec139",
    "ministack.services.rds:_create_snapshot_internal": "1146b3d2105dc099",
    "ministack.services.rds:_delete_db_instance_impl": "a4243069fc427dbd",
    "ministack.services.rds:_delete_db_snapshot": "3b57144d5ed3b475",
    "ministack.services.rds:_modify_db_instance": "05a4f3f74e13ec63",
    "ministack.services.rds:_instance_xml": "97bb74e4c17b2c51",
    "ministack.services.secretsmanager:_store_new_secret": "e1f750dbc602c7fe",
    "ministack.services.secretsmanager:delete_secret_in_process": "939f98b968f193ee",
    "ministack.services.secretsmanager:_put_secret_value": "d09b0557e1697d62",
    "ministack.services.kms:_resolve_key": "90e6b84ded7c823f",
    "ministack.app:_handle_lifespan": "0daf4cf135cf3cb4",
    "ministack.app:_resolve_port": "08773515e2758837",
}

TYPE = "AWS::RDS::DBInstance"
HOST = "localhost"
# "Can't be a reserved word for the chosen database engine": these two are, for PostgreSQL.
RESERVED = {"admin", "rdsadmin"}
LAUNCHER = Path(__file__).resolve().parents[2] / "postgres" / "launch.py"


@dataclass
class Server:
    """The server of one instance, and the folder with its files."""

    folder: Path
    running: Any
    # The snapshot that its files are kept for, once it ends.
    snapshot: str = ""


# By the instance's identifier, account and Region aside: a rig has one of each for its databases.
_servers: dict[str, Server] = {}
# Snapshot -> the files of its server.
_kept: dict[str, Path] = {}
_launcher: ModuleType | None = None
_folder: Path | None = None


def apply() -> None:
    """Wraps the type's handlers and the calls that change or end an instance."""
    global _launcher, _folder
    given = os.environ.get("KEYBOOT_RIG_DATABASES")
    if given != "none":
        _folder = Path(given or Path(tempfile.gettempdir()) / f"db-{app._resolve_port()}")
        _launcher = _load()
        _folder.mkdir(parents=True, exist_ok=True)
        _launcher.Authority(_folder / "authority")
        _end_with_the_emulator(keep_folder=bool(given))
    _wrap_handlers()
    _wrap_engine()
    _wrap_calls()


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("keyboot_postgres", LAUNCHER)
    if spec is None or spec.loader is None:
        raise ValueError(f"plug-in databases: {LAUNCHER} is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _end_with_the_emulator(keep_folder: bool) -> None:
    original = app._handle_lifespan

    async def lifespan(scope, receive, send) -> None:
        await original(scope, receive, send)
        for server in list(_servers.values()):
            # All are told before the first is waited for.
            server.running.process.terminate()
        for server in list(_servers.values()):
            server.running.stop()
        if not keep_folder:
            shutil.rmtree(_folder, ignore_errors=True)

    app._handle_lifespan = lifespan


# --- templates ----------------------------------------------------------------------------------


def _wrap_handlers() -> None:
    handlers = mends("databases", TYPE)
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]
    snapshot, attributes_of = handlers["snapshot"], provisioners._rds_db_instance_attrs

    def attributes(instance: dict) -> dict:
        secret = instance.get("MasterUserSecret")
        managed = {"MasterUserSecret.SecretArn": secret["SecretArn"]} if secret else {}
        return {**attributes_of(instance), **managed}

    def create_server(logical_id: str, props: dict, stack_name: str) -> Made:
        _check(props)
        restored = props.get("DBSnapshotIdentifier")
        if restored and restored not in rds._snapshots:
            raise ValueError(f"DBSnapshot not found: {restored}")
        source = rds._snapshots[restored] if restored else {}
        managed = flag(props.get("ManageMasterUserPassword", False))
        password = rds._generate_master_user_password() if managed else props.get("MasterUserPassword", "")
        user = source.get("MasterUsername") or props["MasterUsername"]
        declared = {**props, "MasterUsername": user, "MasterUserPassword": password}
        identifier, _ = create(logical_id, declared, stack_name)
        instance = rds._instances[identifier]
        instance["DBName"] = props.get("DBName") or source.get("DBName", "")
        try:
            instance["Endpoint"].update(Address=HOST, Port=_start(identifier, instance, password, restored))
        except Exception:
            rds._instances.pop(identifier, None)
            raise
        if managed:
            _manage(instance, props.get("MasterUserSecret") or {}, password)
        return identifier, attributes(instance)

    def update_server(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
        _check(new)
        for name in ("ManageMasterUserPassword", "MasterUserSecret", "MasterUserPassword"):
            if old.get(name) != new.get(name):
                raise ValueError(f"the rig does not play a change of {name}")
        before = dict((rds._instances.get(physical_id) or {}).get("Endpoint") or {})
        made, _ = update(physical_id, old, new, stack_name, logical_id)
        instance = rds._instances[made]
        if made == physical_id and before:
            instance["Endpoint"] = before  # another port of the template is none of the server's
        return made, attributes(instance)

    def delete_server(physical_id: str, props: dict) -> None:
        instance = rds._instances.get(physical_id)
        if instance is not None and instance.get("DeletionProtection"):
            raise ValueError(
                "Cannot delete protected DB Instance, please disable deletion protection and try again."
            )
        delete(physical_id, props)
        if instance is not None:
            _end(instance)

    def final_snapshot(physical_id: str, props: dict) -> None:
        instance = rds._instances.get(physical_id)
        # The same call makes the snapshot and deletes: one that is refused makes none.
        if instance is not None and not instance.get("DeletionProtection"):
            known = set(rds._snapshots.keys())
            snapshot(physical_id, props)
            if physical_id in _servers:
                (_servers[physical_id].snapshot,) = set(rds._snapshots.keys()) - known

    handlers.update(create=create_server, update=update_server, delete=delete_server, snapshot=final_snapshot)
    # What is replaced is made and ended by these names.
    provisioners._rds_db_instance_create = create_server
    provisioners._rds_db_instance_delete = delete_server
    provisioners._rds_db_instance_attrs = attributes
    # A name of its own for each: the next stack of the same name makes another.
    provisioners._snapshot_id = lambda physical_id: f"{physical_id}-{secrets.token_hex(4)}"


def _check(props: dict) -> None:
    if props.get("Engine", "postgres") != "postgres":
        raise ValueError("the rig plays the engine postgres only")
    if props.get("DBClusterIdentifier"):
        raise ValueError("the rig does not play an instance of a cluster")
    if not props.get("DBSnapshotIdentifier"):
        if props.get("MasterUsername", "") in {"", *RESERVED}:
            raise ValueError(f"MasterUsername {props.get('MasterUsername')} cannot be used")
        if flag(props.get("ManageMasterUserPassword", False)) == bool(props.get("MasterUserPassword")):
            raise ValueError("one of ManageMasterUserPassword and MasterUserPassword is to be given")
    group = props.get("DBSubnetGroupName")
    if group and group not in rds._subnet_groups:
        raise ValueError(f"DB subnet group '{group}' does not exist.")
    group = props.get("DBParameterGroupName")
    if group and not group.startswith("default.") and group not in rds._param_groups:
        raise ValueError(f"DBParameterGroup not found: {group}")
    for group in props.get("VPCSecurityGroups") or ():
        if group not in ec2._security_groups:
            raise ValueError(f"Invalid security group , groupId= {group}, groupName=.")
    for key in (props.get("KmsKeyId"), (props.get("MasterUserSecret") or {}).get("KmsKeyId")):
        if key and (kms._resolve_key(key) or {}).get("KeyState") != "Enabled":
            raise ValueError(
                f"The specified KMS key [{key}] does not exist, is not enabled or you do not have permissions"
                " to access it."
            )


def _manage(instance: dict, asked: dict, password: str) -> None:
    key = asked.get("KmsKeyId")
    arn, _version = secretsmanager._store_new_secret(
        f"rds!db-{new_uuid()}",
        secret_string=json.dumps({"username": instance["MasterUsername"], "password": password}),
        description=f"The secret associated with the primary RDS DB instance: {instance['DBInstanceArn']}",
        tags=[
            {"Key": "aws:secretsmanager:owningService", "Value": "rds"},
            {"Key": "aws:rds:primaryDBInstanceArn", "Value": instance["DBInstanceArn"]},
        ],
        kms_key_id=key,
    )
    default = f"arn:aws:kms:{get_region()}:{get_account_id()}:alias/aws/secretsmanager"
    instance["MasterUserSecret"] = {"SecretArn": arn, "SecretStatus": "active", "KmsKeyId": key or default}


def _wrap_engine() -> None:
    on_worker = stacks._runs_on_worker_thread
    delete = stacks._delete_resource

    def runs_on_worker_thread(resource_type: str) -> bool:
        # A server takes seconds to start and to end.
        return resource_type == TYPE or on_worker(resource_type)

    def delete_resource(
        resource_type: str, physical_id: str, props: dict, stack_name: str | None = None, logical_id: str | None = None
    ) -> None:
        if resource_type == TYPE and _is_replaced(stack_name, logical_id, physical_id):
            provisioners._snapshot_resource(resource_type, physical_id, props)
        delete(resource_type, physical_id, props, stack_name, logical_id)

    stacks._runs_on_worker_thread = runs_on_worker_thread
    stacks._delete_resource = delete_resource


def _is_replaced(stack_name: str | None, logical_id: str | None, physical_id: str) -> bool:
    """Whether it is deleted because another one took its place, and leaves a snapshot then."""
    stack = cloudformation._stacks.get(stack_name or "") or {}
    now = (stack.get("_resources") or {}).get(logical_id)
    # A rollback deletes what came last, and the stack's resources are then those from before.
    if not stack.get("StackStatus", "").startswith("UPDATE_COMPLETE") or now is None:
        return False
    definition = (stack.get("_template") or {}).get("Resources", {}).get(logical_id) or {}
    return now["PhysicalResourceId"] != physical_id and definition.get("UpdateReplacePolicy") == "Snapshot"


# --- calls --------------------------------------------------------------------------------------


def _wrap_calls() -> None:
    delete, modify, forget, describe = (
        rds._delete_db_instance_impl,
        rds._modify_db_instance,
        rds._delete_db_snapshot,
        rds._instance_xml,
    )

    def delete_instance(params: dict) -> tuple:
        instance = rds._resolve_instance(rds._p(params, "DBInstanceIdentifier"))
        answer = delete(params)
        if answer[0] == 200 and instance is not None:
            final = rds._p(params, "FinalDBSnapshotIdentifier")
            if final in rds._snapshots and instance["DBInstanceIdentifier"] in _servers:
                _servers[instance["DBInstanceIdentifier"]].snapshot = final
            _end(instance)
        return answer

    def modify_instance(params: dict) -> tuple:
        answer = modify(params)
        instance = rds._resolve_instance(rds._p(params, "DBInstanceIdentifier"))
        if answer[0] == 200 and instance is not None and rds._p(params, "RotateMasterUserPassword") == "true":
            if not instance.get("MasterUserSecret"):
                return rds._error(
                    "InvalidParameterCombination", "The instance's master user password is not managed.", 400
                )
            _rotate(instance)
        return answer

    def delete_snapshot(params: dict) -> tuple:
        answer = forget(params)
        kept = _kept.pop(rds._p(params, "DBSnapshotIdentifier"), None)
        if kept is not None:
            shutil.rmtree(kept, ignore_errors=True)
        return answer

    def instance_xml(instance: dict) -> str:
        secret = instance.get("MasterUserSecret")
        told = "".join(f"<{name}>{value}</{name}>" for name, value in (secret or {}).items())
        return describe(instance) + (f"<MasterUserSecret>{told}</MasterUserSecret>" if told else "")

    rds._delete_db_instance_impl = delete_instance
    rds._instance_xml = instance_xml
    rds._ACTION_MAP.update(ModifyDBInstance=modify_instance, DeleteDBSnapshot=delete_snapshot)


def _rotate(instance: dict) -> None:
    password = rds._generate_master_user_password()
    _set_password(instance["DBInstanceIdentifier"], instance["MasterUsername"], password)
    answered(
        secretsmanager._put_secret_value(
            {
                "SecretId": instance["MasterUserSecret"]["SecretArn"],
                "SecretString": json.dumps({"username": instance["MasterUsername"], "password": password}),
            }
        )
    )


# --- servers ------------------------------------------------------------------------------------


def _free_port() -> int:
    """Nobody listens there now: below the ports that the operating system hands out, which may become another
    connection's before the server listens."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _start(identifier: str, instance: dict, password: str, restored: str | None) -> int:
    port = _free_port()
    if _launcher is None or _folder is None:
        return port
    folder = _folder / secrets.token_hex(4)
    if restored:
        if restored not in _kept:
            raise ValueError(f"the rig kept no files of the snapshot {restored}")
        running_only = shutil.ignore_patterns("postmaster.pid", ".s.*")
        shutil.copytree(_kept[restored], folder, symlinks=True, ignore=running_only)
        _keep_owners(_kept[restored], folder)
    folder.mkdir(parents=True, exist_ok=True)
    running = _launcher.start(
        folder,
        port,
        password,
        hosts=[HOST],
        user=instance["MasterUsername"],
        database=instance["DBName"] or "postgres",
        authority=_folder / "authority",
    )
    _servers[identifier] = Server(folder, running)
    if restored:
        _set_password(identifier, instance["MasterUsername"], password)
    return port


def _keep_owners(source: Path, copy: Path) -> None:
    for each in (source, *source.rglob("*")):
        there = copy / each.relative_to(source)
        if there.exists():
            status = each.stat()
            os.chown(there, status.st_uid, status.st_gid)


def _set_password(identifier: str, user: str, password: str) -> None:
    if _launcher is None:
        return
    server = _servers[identifier]
    name, literal = _launcher.quoted(user, '"'), _launcher.quoted(password, "'")
    psql = [_launcher.Postgres.program("psql"), "--quiet", "--set", "ON_ERROR_STOP=1"]
    subprocess.run(
        [*psql, "--host", server.folder / "socket", "--username", _launcher.SUPERUSER, "--dbname", "postgres"],
        input=f"ALTER ROLE {name} PASSWORD {literal};\n",
        text=True,
        check=True,
        capture_output=True,
        env={"PGPASSWORD": (server.folder / "rdsadmin-password").read_text(), "PATH": os.environ["PATH"]},
    )


def _end(instance: dict) -> None:
    secret = instance.pop("MasterUserSecret", None)
    if secret:
        secretsmanager.delete_secret_in_process(secret["SecretArn"])
    server = _servers.pop(instance["DBInstanceIdentifier"], None)
    if server is None:
        return
    server.running.stop()
    if server.snapshot:
        _kept[server.snapshot] = server.folder
    else:
        shutil.rmtree(server.folder, ignore_errors=True)
