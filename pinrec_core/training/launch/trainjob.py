"""Launcher "trainjob": a TrainJob of Kubeflow Trainer v2, submitted, followed, and deleted when nobody waits for it.

The only file that imports kubeflow. The TrainJob has a name that follows from what it trains: if this process was
killed while one ran, the same call finds it and follows it on, instead of training a second time into the same place.
It is deleted when it is done, when this process is asked to stop, and when it takes too long; a failed one stays for
kubectl until the next attempt.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from kubeflow.trainer import CustomTrainerContainer, KubernetesBackendConfig, TrainerClient
from kubeflow.trainer import options as trainer_options
from kubeflow.trainer.constants import constants as trainer
from kubernetes.client import ApiException
from kubernetes.config import ConfigException

from pinrec_core.config import LaunchConfig, TrainJobConfig
from pinrec_core.errors import ConfigError, TrainingError
from pinrec_core.training.failure import forget_failures, recorded_failures
from pinrec_core.training.job import Job
from pinrec_core.training.launch.child import WORKER
from pinrec_core.training.launch.pod_log import PodLog
from pinrec_core.training.launch.restarts import StopRequest, judge, preempted, with_restarts
from pinrec_core.training.launch.volume import SharedJob, share
from pinrec_core.training.memory import TellPeak, recorded_peak_kib

logger = logging.getLogger("pinrec")
POLL_S = 5.0  # seconds between looks at the TrainJob
PATIENCE = 60  # looks in a row that may fail, because the API server restarts, before following it is given up
GONE_S = 120.0  # for a finished TrainJob of the same name to be removed
TOO_LATE, NO_RUNTIME = "DeadlineExceeded", "TrainingRuntimeNotSupported"  # failures that starting again does not help


def launch_trainjob(job: Job, config: LaunchConfig, stop: StopRequest, tell_peak: TellPeak) -> None:
    """Train on the cluster and bring the model to `job.output`, again after a kill; see start.launch for the errors."""
    shared = share(job, config)
    try:
        if not shared.is_done:
            run = TrainJobRun(_client(config.trainjob), shared, config, stop)
            with_restarts(job.name, run.attempt, config, stop)
            run.delete()
    finally:
        tell_peak(recorded_peak_kib(shared.folder))
    shared.take_over(job.output)


@dataclass
class TrainJobRun:
    """One TrainJob, from submission to its end."""

    client: TrainerClient
    shared: SharedJob
    config: LaunchConfig
    stop: StopRequest
    log: PodLog = field(init=False)

    def attempt(self) -> None:
        """Submit it, or find it running, and follow it to its end; Ctrl-C deletes it."""
        try:
            self._submit()
            with PodLog(self.client, self.shared.name, POLL_S) as self.log:
                status = self._follow()
        except KeyboardInterrupt:
            self.delete()
            raise
        if status == trainer.TRAINJOB_FAILED:
            self._explain()

    def delete(self) -> None:
        """Delete it; its pods get SIGTERM and write their place. Nothing if it is not there."""
        try:
            self.client.delete_job(self.shared.name)
            logger.info("TrainJob %s deleted", self.where)
        except RuntimeError as error:
            if _status_of(error) != 404:
                logger.warning("TrainJob %s could not be deleted: %s; kubectl -n %s delete trainjob %s", self.where,
                               _reason_of(error), self.namespace, self.shared.name)

    @property
    def namespace(self) -> str:
        """Where it lives."""
        return self.client.backend.namespace

    @property
    def where(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.shared.name}"

    def _submit(self) -> None:
        """Create it, unless one of this name is under way; a finished one of an earlier attempt goes first."""
        status = self._status()
        if status in (trainer.TRAINJOB_COMPLETE, trainer.TRAINJOB_FAILED):
            self.delete()
            self._await_gone()
        elif status is not None:
            logger.info("TrainJob %s is under way (%s) and is followed on", self.where, status)
            return
        forget_failures(self.shared.folder)
        settings = self.config.trainjob
        try:
            self.client.train(self.client.get_runtime(settings.runtime), trainer=_container(settings),
                              options=_options(self.shared, self.config))
        except (RuntimeError, TimeoutError, ValueError) as error:
            raise ConfigError(f"TrainJob {self.where} (runtime {settings.runtime}) was refused: {_reason_of(error)}; "
                              f"see docs/training.md for what the cluster needs, and kubectl -n {self.namespace} auth "
                              "can-i create trainjobs.trainer.kubeflow.org") from error
        logger.info("TrainJob %s submitted: %d nodes, %d processes each; kubectl -n %s get trainjob %s", self.where,
                    settings.nodes, self.config.processes, self.namespace, self.shared.name)

    def _follow(self) -> str:
        """Wait for its end and return its status. Deletes it when asked to stop or when it takes too long."""
        deadline = time.monotonic() + self.config.trainjob.timeout_s
        while True:
            status = self._status()
            if status in (trainer.TRAINJOB_COMPLETE, trainer.TRAINJOB_FAILED):
                return status
            if status is None:
                raise TrainingError(f"TrainJob {self.where} is gone: somebody deleted it; the same call starts it "
                                    "again, from its place")
            self._pause()
            if time.monotonic() > deadline:
                pods = self._pods()
                self.delete()
                raise self._timed_out(status, pods)

    def _status(self) -> str | None:
        """Created, Running, Complete, Failed; None if there is none. A few failures to look are no news."""
        for looks_left in range(PATIENCE, -1, -1):
            try:
                return self.client.get_job(self.shared.name).status
            except (RuntimeError, TimeoutError) as error:
                if _status_of(error) == 404:
                    return None
                if not looks_left or _status_of(error) in (401, 403):
                    raise self._lost(error) from error
                logger.warning("TrainJob %s: %s; looks again", self.where, _reason_of(error))
            self._pause()
        return None

    def _pause(self) -> None:
        """Wait for the next look; deletes the TrainJob and raises Preempted when asked to stop meanwhile."""
        if self.stop.wait(POLL_S):
            self.delete()
            raise preempted(self.shared.job.name)

    def _lost(self, error: Exception) -> TrainingError:
        return TrainingError(f"TrainJob {self.where} cannot be followed: {_reason_of(error)}; it may still run, and "
                             "the same call follows it on: kubectl -n "
                             f"{self.namespace} get trainjob {self.shared.name}")

    def _await_gone(self) -> None:
        deadline = time.monotonic() + GONE_S
        while self._status() is not None:
            if time.monotonic() > deadline:
                raise TrainingError(f"TrainJob {self.where}, of an earlier attempt, is not gone {GONE_S:g} s after it "
                                    f"was deleted; kubectl -n {self.namespace} get trainjob {self.shared.name} -o yaml")
            self._pause()

    def _explain(self) -> None:
        """Raise why it failed: the worker's own error if one was recorded, else what the cluster says."""
        condition, pods = self._failed_condition(), self._pods()
        reason = condition.get("reason", "no reason given")
        logger.warning("TrainJob %s Failed, %s", self.where, reason)
        if reason == TOO_LATE:
            raise self._timed_out(trainer.TRAINJOB_FAILED, pods)
        how = (f"TrainJob {self.where} Failed, {reason}: {condition.get('message', 'no message')}; {pods}; "
               f"{self.log.relay.last_lines}\n{self._next_step()}")
        if reason == NO_RUNTIME:
            raise TrainingError(how)
        judge(recorded_failures(self.shared.folder), how)

    def _timed_out(self, status: str, pods: str) -> TrainingError:
        return TrainingError(
            f"TrainJob {self.where} was not done {self.config.trainjob.timeout_s} s after it was submitted "
            f"(trainjob.timeout_s) and was ended, status {status}; {pods}; {self.log.relay.last_lines}\nThe same call "
            "goes on from the last place; raise timeout_s, or give the pods a place to run")

    def _next_step(self) -> str:
        return (f"kubectl -n {self.namespace} describe trainjob {self.shared.name}; "
                f"kubectl -n {self.namespace} logs -l {trainer.JOBSET_NAME_LABEL}={self.shared.name} --tail=100")

    def _failed_condition(self) -> dict[str, Any]:
        """The condition Failed as the cluster keeps it; the client tells its type only."""
        try:
            found = self.client.backend.custom_api.get_namespaced_custom_object(
                trainer.GROUP, trainer.VERSION, self.namespace, trainer.TRAINJOB_PLURAL, self.shared.name)
        except ApiException as error:
            return {"message": f"unknown ({error.status}, {error.reason})"}
        return next((condition for condition in found.get("status", {}).get("conditions", [])
                     if condition["type"] == trainer.TRAINJOB_FAILED), {})

    def _pods(self) -> str:
        """Each pod with its phase and what its container waits for or ended with; the client tells the phase only."""
        try:
            pods = self.client.backend.core_api.list_namespaced_pod(
                self.namespace, label_selector=f"{trainer.JOBSET_NAME_LABEL}={self.shared.name}").items
        except ApiException as error:
            return f"its pods are unknown ({error.status}, {error.reason})"
        return ", ".join(f"pod {pod.metadata.name} {_state(pod.status)}" for pod in pods) or "no pods"


def _client(config: TrainJobConfig) -> TrainerClient:
    try:
        return TrainerClient(KubernetesBackendConfig(namespace=config.namespace or None))
    except ConfigException as error:
        raise ConfigError(f"launcher 'trainjob': no cluster to talk to: {error}; set KUBECONFIG, or run in a pod with "
                          "a service account") from error


def _container(config: TrainJobConfig) -> CustomTrainerContainer:
    """What each training pod runs in."""
    resources = {"cpu": config.cpu, "memory": config.memory, "gpu": config.gpu}
    return CustomTrainerContainer(image=config.image, num_nodes=config.nodes,
                                  resources_per_node={name: amount for name, amount in resources.items() if amount})


def _options(shared: SharedJob, config: LaunchConfig) -> list[Any]:
    """Name, command, deadline and the mounted claim.

    torchrun takes the number of processes from its command line, and who takes part from the PET_ environment that
    Kubeflow Trainer's torch policy sets.
    """
    settings = config.trainjob
    return [
        trainer_options.Name(shared.name),
        trainer_options.Labels({"app.kubernetes.io/name": "pinrec", "app.kubernetes.io/component": shared.job.stage}),
        trainer_options.TrainerCommand(["torchrun", "--nproc-per-node", str(config.processes), "-m", WORKER]),
        trainer_options.TrainerArgs([str(shared.job_file)]),
        trainer_options.ActiveDeadlineSeconds(settings.timeout_s),
        _mount(settings.claim, settings.volume),
    ]


def _mount(claim: str, path: str) -> trainer_options.RuntimePatch:
    """The claim as a volume of the training pods."""
    pod = trainer_options.PodSpecPatch(
        volumes=[{"name": "pinrec", "persistentVolumeClaim": {"claimName": claim}}],
        containers=[trainer_options.ContainerPatch(
            trainer.NODE, volume_mounts=[{"name": "pinrec", "mountPath": path}])])
    job = trainer_options.JobTemplatePatch(
        spec=trainer_options.JobSpecPatch(template=trainer_options.PodTemplatePatch(spec=pod)))
    jobs = trainer_options.JobSetSpecPatch([trainer_options.ReplicatedJobPatch(trainer.NODE, job)])
    return trainer_options.RuntimePatch(
        trainer_options.TrainingRuntimeSpecPatch(trainer_options.JobSetTemplatePatch(spec=jobs)))


def _state(status: Any) -> str:
    """Phase of a pod and what its containers, or the scheduler, say about it."""
    said = [status.phase or "", status.reason or ""]
    for container in status.container_statuses or []:
        if ended := container.state.terminated:
            said.append(f"({ended.reason}, exit code {ended.exit_code})")
        elif waiting := container.state.waiting:
            said.append(f"({waiting.reason}: {waiting.message or ''})")
    said += [f"({c.reason}: {c.message})" for c in status.conditions or [] if c.status == "False" and c.message]
    return " ".join(word for word in said if word)


def _status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error of the client, which keeps the API's as its cause."""
    return getattr(error.__cause__, "status", None)


def _reason_of(error: BaseException) -> str:
    """What the API server answered, in one line."""
    cause = error.__cause__ or error
    try:
        return f"{cause.status}, {json.loads(cause.body)['message']}"
    except (AttributeError, KeyError, TypeError, ValueError):  # no answer, or not one of Kubernetes
        return " ".join(f"{error}: {cause}".split())[:500]
