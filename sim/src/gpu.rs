//! The adapter, the device and its memory: everything that is asked of wgpu outside a kernel.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::Pod;
use wgpu::util::DeviceExt;

/// What can go wrong between the program and the graphics driver.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    #[error(
        "no graphics adapter found: install a Vulkan driver (a software one on Debian and Ubuntu: `apt-get install mesa-vulkan-drivers`)"
    )]
    NoAdapter,
    #[error("no adapter matches `{asked}`; this machine has: {found}")]
    UnknownAdapter { asked: String, found: String },
    #[error(
        "adapter `{adapter}` lacks what the shaders need: {what} is {found}, at least {needed} is needed"
    )]
    Limit {
        adapter: String,
        what: &'static str,
        found: u64,
        needed: u64,
    },
    #[error("adapter `{adapter}` gave no device: {source}")]
    Device {
        adapter: String,
        source: wgpu::RequestDeviceError,
    },
    #[error(
        "`{what}` needs {needed} bytes in one buffer, adapter `{adapter}` allows {limit}: use at most {largest} {unit}"
    )]
    TooLarge {
        what: String,
        adapter: String,
        needed: u64,
        limit: u64,
        /// The largest count of `unit` that fits.
        largest: u64,
        unit: &'static str,
    },
    #[error(
        "`{what}` needs {needed} bytes in one buffer, adapter `{adapter}` allows {limit}: ask for fewer environments, steps or members, or for more minibatches"
    )]
    TooLargeBuffer {
        what: String,
        adapter: String,
        needed: u64,
        limit: u64,
    },
    #[error(
        "`{what}` needs {needed} workgroups in one dimension of a dispatch, adapter `{adapter}` allows {limit}: set minibatches higher, or envs, rollout, batch or seeds lower"
    )]
    TooManyGroups {
        what: String,
        adapter: String,
        needed: usize,
        limit: u32,
    },
    #[error(
        "adapter `{adapter}` has no memory left for {what}: ask for fewer environments, steps or members"
    )]
    OutOfMemory { adapter: String, what: String },
    #[error("the driver of adapter `{adapter}` refused {what}: {reason}")]
    Refused {
        adapter: String,
        what: String,
        reason: String,
    },
    #[error("the device was lost while {doing}: {reason}")]
    Lost { doing: &'static str, reason: String },
    #[error("{what} holds {found} bytes, {needed} were expected")]
    Size {
        what: &'static str,
        found: u64,
        needed: u64,
    },
}

/// Which adapter to use: what `--adapter` or `MERIT_ADAPTER` said, turned once into a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// Discrete before integrated before virtual before software; the first of its kind.
    #[default]
    Best,
    /// Position in the list that [`adapters`] returns.
    Index(usize),
    /// A part of the adapter's name, upper or lower case.
    Name(String),
}

impl AdapterChoice {
    /// A number is an index, anything else a part of a name.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "" => Self::Best,
            t => t
                .parse()
                .map_or_else(|_| Self::Name(t.to_owned()), Self::Index),
        }
    }
}

impl AdapterChoice {
    /// What the environment variable `MERIT_ADAPTER` says.
    pub fn from_env() -> Self {
        std::env::var("MERIT_ADAPTER").map_or(Self::Best, |t| Self::parse(&t))
    }
}

impl fmt::Display for AdapterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => f.write_str("best"),
            Self::Index(i) => write!(f, "{i}"),
            Self::Name(n) => f.write_str(n),
        }
    }
}

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle_from_env()
    })
}

fn list(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY))
}

/// Every adapter of this machine, in the order that [`AdapterChoice::Index`] counts them.
pub fn adapters() -> Vec<wgpu::Adapter> {
    list(&instance())
}

/// Preference order of [`AdapterChoice::Best`]; lower is better.
fn rank(info: &wgpu::AdapterInfo) -> u8 {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// Storage buffers that one kernel binds at most ([`crate::env::EnvIo`] and the state).
pub const STORAGE_BUFFERS_NEEDED: u32 = 14;
/// Workgroup memory that the widest kernel uses, in bytes: WebGPU's own minimum.
pub const WORKGROUP_BYTES_NEEDED: u32 = 16_384;

/// An opened adapter: device and queue, shared by the simulator and the learner.
#[derive(Clone, Debug)]
pub struct Gpu {
    pub instance: wgpu::Instance,
    pub adapter: wgpu::Adapter,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub info: wgpu::AdapterInfo,
    pub limits: wgpu::Limits,
    /// The largest buffer that was asked for while [`Gpu::guarded`], if it was more than one binding may have.
    asked: Arc<Mutex<Option<(String, u64)>>>,
}

impl Gpu {
    /// Opens the adapter of `choice` with all of its features and limits.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`], [`GpuError::UnknownAdapter`], [`GpuError::Limit`] and [`GpuError::Device`].
    pub fn open(choice: &AdapterChoice) -> Result<Self, GpuError> {
        let instance = instance();
        let mut all = list(&instance);
        if all.is_empty() {
            return Err(GpuError::NoAdapter);
        }
        let found = || {
            let names = all.iter().enumerate();
            let names: Vec<_> = names
                .map(|(i, a)| format!("{i} = {}", a.get_info().name))
                .collect();
            names.join(", ")
        };
        let at = match choice {
            AdapterChoice::Best => (0..all.len()).min_by_key(|&i| rank(&all[i].get_info())),
            AdapterChoice::Index(i) => Some(*i).filter(|&i| i < all.len()),
            AdapterChoice::Name(n) => {
                let n = n.to_lowercase();
                all.iter()
                    .position(|a| a.get_info().name.to_lowercase().contains(&n))
            }
        };
        let Some(at) = at else {
            return Err(GpuError::UnknownAdapter {
                asked: choice.to_string(),
                found: found(),
            });
        };
        let adapter = all.swap_remove(at);
        let (info, limits) = (adapter.get_info(), adapter.limits());
        for (what, found, needed) in [
            (
                "max_storage_buffers_per_shader_stage",
                limits.max_storage_buffers_per_shader_stage,
                STORAGE_BUFFERS_NEEDED,
            ),
            (
                "max_compute_workgroup_storage_size",
                limits.max_compute_workgroup_storage_size,
                WORKGROUP_BYTES_NEEDED,
            ),
            (
                "max_compute_invocations_per_workgroup",
                limits.max_compute_invocations_per_workgroup,
                256,
            ),
        ] {
            if found < needed {
                return Err(GpuError::Limit {
                    adapter: info.name,
                    what,
                    found: found.into(),
                    needed: needed.into(),
                });
            }
        }
        // All features and limits: burn's kernel compiler chooses by the adapter's features, so the shared device must
        // have them enabled. Mappable primary buffers would move allocations into host memory on discrete GPUs.
        let features = adapter
            .features()
            .difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("merit"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
            // SAFETY: experimental features are enabled because burn's kernel compiler selects its code by what the
            // adapter offers; none of our own shaders uses one.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        };
        let (device, queue) =
            pollster::block_on(adapter.request_device(&descriptor)).map_err(|source| {
                GpuError::Device {
                    adapter: info.name.clone(),
                    source,
                }
            })?;
        Ok(Self {
            instance,
            adapter,
            device,
            queue,
            info,
            limits,
            asked: Arc::default(),
        })
    }

    /// Whether the adapter runs on the CPU (lavapipe, WARP): layouts and chunk sizes differ there.
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// The most bytes that one storage binding may have: no more than shaders count words of, in 32 bits. (Metal allows more.)
    pub fn max_binding(&self) -> u64 {
        self.limits
            .max_storage_buffer_binding_size
            .min(self.limits.max_buffer_size)
            .min(4 * u64::from(u32::MAX))
    }

    /// Checks that `per_unit · count` bytes fit in one storage buffer.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`], which names the largest count that fits.
    pub fn check_fits(
        &self,
        what: &str,
        per_unit: u64,
        count: u64,
        unit: &'static str,
    ) -> Result<(), GpuError> {
        let (needed, limit) = (per_unit.saturating_mul(count), self.max_binding());
        if needed <= limit {
            return Ok(());
        }
        Err(GpuError::TooLarge {
            what: what.to_owned(),
            adapter: self.info.name.clone(),
            needed,
            limit,
            largest: limit / per_unit,
            unit,
        })
    }

    /// Checks that one dispatch of `what` may have `groups` workgroups.
    ///
    /// # Errors
    /// [`GpuError::TooManyGroups`].
    pub fn check_groups(&self, what: &str, groups: [usize; 3]) -> Result<(), GpuError> {
        let limit = self.limits.max_compute_workgroups_per_dimension;
        let needed = groups.into_iter().max().unwrap_or(0);
        if needed <= limit as usize {
            return Ok(());
        }
        Err(GpuError::TooManyGroups {
            what: what.to_owned(),
            adapter: self.info.name.clone(),
            needed,
            limit,
        })
    }

    /// Remembers what is too large to be bound whole, for [`Gpu::guarded`] to name where that is refused.
    fn note(&self, label: &str, bytes: u64) {
        if bytes > self.max_binding() {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.as_ref().is_none_or(|(_, most)| bytes > *most) {
                *asked = Some((label.to_owned(), bytes));
            }
        }
    }

    /// A zeroed storage buffer of `bytes` bytes (at least 4: empty bindings are not allowed).
    pub fn storage(&self, label: &str, bytes: u64) -> Region {
        let size = bytes.max(4).next_multiple_of(4);
        self.note(label, size);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage: STORAGE_USAGE,
            mapped_at_creation: false,
        });
        Region::whole(buffer)
    }

    /// A storage buffer that holds `data`.
    pub fn storage_from<T: Pod>(&self, label: &str, data: &[T]) -> Region {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let contents = if bytes.is_empty() { &[0; 4] } else { bytes };
        let buffer = self
            .device
            .create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some(label),
                contents,
                usage: STORAGE_USAGE,
            });
        Region::whole(buffer)
    }

    /// A uniform buffer that holds `data`.
    pub fn uniform_from<T: Pod>(&self, label: &str, data: &[T]) -> wgpu::Buffer {
        self.device
            .create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some(label),
                contents: bytemuck::cast_slice(data),
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            })
    }

    /// Writes `data` at the start of `region`; ordered before the next submission.
    pub fn write<T: Pod>(&self, region: &Region, data: &[T]) {
        self.queue
            .write_buffer(&region.buffer, region.offset, bytemuck::cast_slice(data));
    }

    /// Runs `f`, which allocates or compiles, and turns what the driver objects to into an error; without it wgpu panics.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], [`GpuError::TooLargeBuffer`], [`GpuError::Refused`].
    pub fn guarded<T>(&self, what: &str, f: impl FnOnce() -> T) -> Result<T, GpuError> {
        let asked = |now| {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *asked, now)
        };
        let outside = asked(None);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let out = f();
        let refused = pollster::block_on(validation.pop());
        let exhausted = pollster::block_on(memory.pop());
        let (adapter, what) = (self.info.name.clone(), what.to_owned());
        // A buffer that could not be allocated is also invalid to whatever binds it: the shortage is the cause.
        match (exhausted, refused, asked(outside)) {
            (Some(_), _, _) => Err(GpuError::OutOfMemory { adapter, what }),
            (None, Some(_), Some((what, needed))) => Err(GpuError::TooLargeBuffer {
                what,
                adapter,
                needed,
                limit: self.max_binding(),
            }),
            (None, Some(e), None) => Err(GpuError::Refused {
                adapter,
                what,
                reason: e.to_string(),
            }),
            (None, None, _) => Ok(out),
        }
    }

    /// An encoder for one submission.
    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Records one compute pass and submits it.
    pub fn compute(&self, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
        let mut encoder = self.encoder();
        record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        self.submit(encoder);
    }

    /// Hands an encoder's commands to the queue.
    pub fn submit(&self, encoder: wgpu::CommandEncoder) {
        self.queue.submit([encoder.finish()]);
    }

    /// Waits until the device has done all that was submitted.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn sync(&self) -> Result<(), GpuError> {
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map(|_| ())
            .map_err(|e| GpuError::Lost {
                doing: "waiting for the device",
                reason: e.to_string(),
            })
    }

    /// Copies `region` to the host. Waits for the device: never call it inside an update.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read<T: Pod>(&self, region: &Region) -> Result<Vec<T>, GpuError> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: region.size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(&region.buffer, region.offset, &staging, 0, region.size);
        self.submit(encoder);
        let lost = |reason: String| GpuError::Lost {
            doing: "reading a buffer back",
            reason,
        };
        let (tx, rx) = std::sync::mpsc::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |r| {
            // The receiver is gone only if the caller is.
            let _ = tx.send(r);
        });
        self.sync()?;
        rx.recv()
            .map_err(|e| lost(e.to_string()))?
            .map_err(|e| lost(e.to_string()))?;
        let mapped = staging
            .slice(..)
            .get_mapped_range()
            .map_err(|e| lost(e.to_string()))?;
        // Mapped memory has no promised alignment: copy by element.
        let out = mapped
            .chunks_exact(size_of::<T>())
            .map(bytemuck::pod_read_unaligned)
            .collect();
        drop(mapped);
        staging.unmap();
        Ok(out)
    }

    /// Compiles WGSL. `trusted` leaves out wgpu's bounds checks: only for shaders whose indices are in bounds by
    /// construction, which the checked variant's tests show.
    pub fn shader(&self, label: &str, source: &str, trusted: bool) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        if trusted {
            // SAFETY: every index of the shipped shaders is a loop variable or is clamped in the shader to its array;
            // the same sources run with the checks on in the tests.
            unsafe {
                self.device.create_shader_module_trusted(
                    descriptor,
                    wgpu::ShaderRuntimeChecks::unchecked(),
                )
            }
        } else {
            self.device.create_shader_module(descriptor)
        }
    }

    /// A compute pipeline of `module`'s entry point with an explicit layout.
    pub fn pipeline(
        &self,
        label: &str,
        module: &wgpu::ShaderModule,
        entry_point: &str,
        layout: &wgpu::BindGroupLayout,
    ) -> wgpu::ComputePipeline {
        let layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(label),
                bind_group_layouts: &[Some(layout)],
                ..Default::default()
            });
        self.device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&layout),
                module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Every kernel writes its workgroup memory before it reads it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            })
    }
}

// Uniform too: what all invocations read at one address is best bound so (`shaders/learn/dense_forward_row.wgsl`).
const STORAGE_USAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::UNIFORM)
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);

/// A part of a device buffer: what a kernel binds. The learner's tensors and the simulator's own buffers look alike.
#[derive(Clone, Debug)]
pub struct Region {
    pub buffer: wgpu::Buffer,
    /// In bytes; a multiple of the adapter's `min_storage_buffer_offset_alignment`.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
}

impl Region {
    pub fn whole(buffer: wgpu::Buffer) -> Self {
        let size = buffer.size();
        Self {
            buffer,
            offset: 0,
            size,
        }
    }

    /// `words` words of it from `first` on.
    pub fn part(&self, first: usize, words: usize) -> Self {
        Self {
            buffer: self.buffer.clone(),
            offset: self.offset + 4 * first as u64,
            size: 4 * words as u64,
        }
    }

    pub fn binding(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: self.offset,
            size: std::num::NonZero::new(self.size),
        })
    }
}

/// How a kernel uses one binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadWrite,
    /// A uniform block of that many bytes.
    Uniform(u64),
    /// A uniform block of that many bytes, chosen by a dynamic offset at dispatch.
    DynamicUniform(u64),
}

impl Gpu {
    /// A bind group layout for a compute kernel: binding `i` is used as `accesses[i]` says.
    pub fn layout(&self, label: &str, accesses: &[Access]) -> wgpu::BindGroupLayout {
        let entries: Vec<_> = accesses
            .iter()
            .enumerate()
            .map(|(i, access)| {
                let (ty, dynamic, min) = match *access {
                    Access::Read => (
                        wgpu::BufferBindingType::Storage { read_only: true },
                        false,
                        0,
                    ),
                    Access::ReadWrite => (
                        wgpu::BufferBindingType::Storage { read_only: false },
                        false,
                        0,
                    ),
                    Access::Uniform(n) => (wgpu::BufferBindingType::Uniform, false, n),
                    Access::DynamicUniform(n) => (wgpu::BufferBindingType::Uniform, true, n),
                };
                wgpu::BindGroupLayoutEntry {
                    binding: i as u32,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Buffer {
                        ty,
                        has_dynamic_offset: dynamic,
                        min_binding_size: std::num::NonZero::new(min),
                    },
                    count: None,
                }
            })
            .collect();
        self.device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(label),
                entries: &entries,
            })
    }

    /// Binds `resources[i]` at binding `i` of `layout`.
    pub fn bind(
        &self,
        label: &str,
        layout: &wgpu::BindGroupLayout,
        resources: &[wgpu::BindingResource<'_>],
    ) -> wgpu::BindGroup {
        let entries: Vec<_> = resources
            .iter()
            .enumerate()
            .map(|(i, r)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: r.clone(),
            })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(label),
            layout,
            entries: &entries,
        })
    }
}

/// Stride of consecutive blocks of a uniform buffer that is bound with dynamic offsets: WebGPU's default alignment,
/// which every adapter accepts.
pub const UNIFORM_STRIDE: u64 = 256;
