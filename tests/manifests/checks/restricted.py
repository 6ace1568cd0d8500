"""Profile "restricted" of the Pod Security Standards, baseline included, as published for Kubernetes 1.34 and later.

Every control of the list, in its order, for every kind of container. A namespace that enforces the profile refuses
what this finds.
"""

from __future__ import annotations

from collections.abc import Iterator

from checks.built import Built, Finding, Object, Pod

SYSCTLS = {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
           "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
           "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
           "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROFILES = {"RuntimeDefault", "Localhost"}


def check(built: Built) -> Iterator[Finding]:
    """Rule restricted."""
    for pod in built.pods():
        problems = [*_of_pod(pod.spec)]
        for container in pod.containers():
            problems += [f"container {container['name']}: {problem}" for problem in _of_container(pod, container)]
        yield from (Finding("restricted", pod.name, problem) for problem in problems)


def _of_pod(spec: Object) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"{name} is set"
    for volume in spec.get("volumes", []):
        if other := volume.keys() - VOLUMES - {"name"}:
            yield f"volume {volume['name']} is of type {', '.join(sorted(other))}"
    context = spec.get("securityContext", {})
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']} is not safe"
    yield from _of_either(context)


def _of_either(context: Object) -> Iterator[str]:
    """What pod and container can say alike."""
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "windowsOptions.hostProcess is set"
    if context.get("runAsNonRoot") is False:
        yield "runAsNonRoot is false"
    if context.get("runAsUser") == 0:
        yield "runAsUser is 0"
    for key in ("seccompProfile", "appArmorProfile"):
        if key in context and context[key].get("type") not in PROFILES:
            yield f"{key} is {context[key].get('type')}"
    linux = context.get("seLinuxOptions", {})
    if linux.get("type", "") not in SELINUX or linux.get("user") or linux.get("role"):
        yield f"seLinuxOptions are {linux}"


def _of_container(pod: Pod, container: Object) -> Iterator[str]:
    outer, own = pod.spec.get("securityContext", {}), container.get("securityContext", {})
    yield from _of_either(own)
    if own.get("privileged"):
        yield "privileged is set"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if own.get("procMount", "Default") != "Default":
        yield f"procMount is {own['procMount']}"
    if (outer | own).get("runAsNonRoot") is not True:
        yield "runAsNonRoot is not true"
    if "seccompProfile" not in outer | own:
        yield "seccompProfile is not set"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities.drop is without ALL"
    if added := set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"capabilities.add has {', '.join(sorted(added))}"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort is set"
    yield from _hosts(container)


def _hosts(container: Object) -> Iterator[str]:
    """A probe or hook that asks another host."""
    hooks = {name: container.get(name, {}) for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    for name, hook in (hooks | container.get("lifecycle", {})).items():
        for how in ("httpGet", "tcpSocket"):
            if isinstance(hook, dict) and hook.get(how, {}).get("host"):
                yield f"{name}.{how}.host is set"
