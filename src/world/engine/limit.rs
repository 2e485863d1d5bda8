//! The parts of a create request that stand for themselves: limits, devices, health, logs, restarts. Each turns one type
//! of the model into the engine's.

use std::time::Duration;

use bollard::models::{
    DeviceMapping, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigIsolationEnum,
    HostConfigLogConfig, ResourcesBlkioWeightDevice, ResourcesUlimits,
    RestartPolicy as EngineRestartPolicy, RestartPolicyNameEnum, ThrottleDevice,
};

use crate::model::container::{
    Blkio, Device, DeviceRequest, Healthcheck, Logging, Resources, RestartPolicy, Ulimit,
};
use crate::world::WorldError;
use crate::world::engine::old::TooOld;

/// A collection, or none where it is empty: the engine then uses its own default.
pub fn filled<C>(collection: C) -> Option<C>
where
    for<'a> &'a C: IntoIterator,
{
    let empty = (&collection).into_iter().next().is_none();
    (!empty).then_some(collection)
}

/// When the engine starts a container again.
pub fn restart_policy(policy: &RestartPolicy) -> EngineRestartPolicy {
    let (name, retries) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        RestartPolicy::OnFailure(retries) => (RestartPolicyNameEnum::ON_FAILURE, *retries),
    };
    EngineRestartPolicy {
        name: Some(name),
        maximum_retry_count: retries,
    }
}

/// How the engine finds out whether a container is healthy.
pub fn health_config(check: &Healthcheck, old: &TooOld) -> Result<HealthConfig, WorldError> {
    let Healthcheck {
        test,
        interval,
        timeout,
        retries,
        start_period,
        start_interval,
    } = check;
    if start_interval.is_some() {
        old.needs((1, 44), "25.0", "`healthcheck: start_interval`")?;
    }
    Ok(HealthConfig {
        test: filled(test.clone()),
        interval: interval.map(nanoseconds),
        timeout: timeout.map(nanoseconds),
        retries: *retries,
        start_period: start_period.map(nanoseconds),
        start_interval: start_interval.map(nanoseconds),
    })
}

/// Where a container's output goes.
pub fn log_config(logging: &Logging) -> HostConfigLogConfig {
    let Logging { driver, options } = logging;
    HostConfigLogConfig {
        typ: driver.clone(),
        config: filled(options.clone().into_iter().collect()),
    }
}

/// Whose control groups a container sees.
pub fn cgroup_namespace(word: &str) -> HostConfigCgroupnsModeEnum {
    match word {
        "host" => HostConfigCgroupnsModeEnum::HOST,
        "private" => HostConfigCgroupnsModeEnum::PRIVATE,
        _ => HostConfigCgroupnsModeEnum::EMPTY,
    }
}

/// How a Windows container is kept apart.
pub fn isolation_of(word: &str) -> HostConfigIsolationEnum {
    match word {
        "process" => HostConfigIsolationEnum::PROCESS,
        "hyperv" => HostConfigIsolationEnum::HYPERV,
        _ => HostConfigIsolationEnum::DEFAULT,
    }
}

/// A device of the host.
pub fn device(device: &Device) -> DeviceMapping {
    let Device {
        source,
        target,
        permissions,
    } = device;
    DeviceMapping {
        path_on_host: Some(source.clone()),
        path_in_container: Some(target.clone()),
        cgroup_permissions: Some(permissions.clone()),
    }
}

/// Devices by capability.
pub fn device_request(request: &DeviceRequest) -> bollard::models::DeviceRequest {
    let DeviceRequest {
        driver,
        count,
        device_ids,
        capabilities,
        options,
    } = request;
    bollard::models::DeviceRequest {
        driver: driver.clone(),
        count: *count,
        device_ids: filled(device_ids.clone()),
        // All of one list must be there; the lists are alternatives.
        capabilities: filled(capabilities.clone()).map(|all| vec![all]),
        options: filled(options.clone().into_iter().collect()),
    }
}

/// Limits and shares, as a host configuration with nothing else in it.
pub fn limits(resources: &Resources) -> HostConfig {
    let Resources {
        nano_cpus,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        cpuset,
        cpu_count,
        cpu_percent,
        memory,
        memory_reservation,
        memory_swap,
        memory_swappiness,
        oom_kill_disable,
        oom_score_adj,
        pids_limit,
        shm_size,
        ulimits,
        blkio,
    } = resources;
    let ulimit = |(name, limit): (&String, &Ulimit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    };
    HostConfig {
        nano_cpus: *nano_cpus,
        cpu_shares: *cpu_shares,
        cpu_period: *cpu_period,
        cpu_quota: *cpu_quota,
        cpu_realtime_period: *cpu_rt_period,
        cpu_realtime_runtime: *cpu_rt_runtime,
        cpuset_cpus: cpuset.clone(),
        cpu_count: *cpu_count,
        // The engine takes whole percents (Windows engines only).
        cpu_percent: cpu_percent.map(|percent| percent.round() as i64),
        memory: *memory,
        memory_reservation: *memory_reservation,
        memory_swap: *memory_swap,
        memory_swappiness: *memory_swappiness,
        oom_kill_disable: *oom_kill_disable,
        oom_score_adj: *oom_score_adj,
        pids_limit: *pids_limit,
        shm_size: *shm_size,
        ulimits: filled(ulimits.iter().map(ulimit).collect()),
        ..blkio.as_ref().map(blkio_limits).unwrap_or_default()
    }
}

fn blkio_limits(blkio: &Blkio) -> HostConfig {
    let Blkio {
        weight,
        weight_device,
        device_read_bps,
        device_read_iops,
        device_write_bps,
        device_write_iops,
    } = blkio;
    let throttle = |list: &[(String, i64)]| {
        filled(
            list.iter()
                .map(|(path, rate)| ThrottleDevice {
                    path: Some(path.clone()),
                    rate: Some(*rate),
                })
                .collect::<Vec<_>>(),
        )
    };
    HostConfig {
        blkio_weight: *weight,
        blkio_weight_device: filled(
            weight_device
                .iter()
                .map(|(path, weight)| ResourcesBlkioWeightDevice {
                    path: Some(path.clone()),
                    weight: Some(usize::from(*weight)),
                })
                .collect(),
        ),
        blkio_device_read_bps: throttle(device_read_bps),
        blkio_device_read_iops: throttle(device_read_iops),
        blkio_device_write_bps: throttle(device_write_bps),
        blkio_device_write_iops: throttle(device_write_iops),
        ..HostConfig::default()
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
