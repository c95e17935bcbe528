#include "conformance/cases/entry_world.hpp"

#include <unistd.h>

#include <cstring>
#include <numeric>

namespace flagos::conformance {
namespace {

constexpr const char* type_names[] = {"runtime",     "device",       "stream",         "event",
                                      "module",      "blob",         "kernel",         "prepared",
                                      "memory_pool", "timeline",     "graph",          "graph_exec",
                                      "profiler",    "communicator", "physical_memory"};

template <class Handle>
Handle* to(std::uint64_t value) {
  return reinterpret_cast<Handle*>(value);
}

std::uint64_t from(const void* handle) { return reinterpret_cast<std::uint64_t>(handle); }

void do_nothing(void*, flagos_status_t) {}

// Kernel descs and images that stand for "some text" in a world without objects.
constexpr std::uint8_t no_image[4] = {};

}  // namespace

std::string name_of(Type type) { return type_names[static_cast<std::size_t>(type)]; }

std::vector<Type> all_types() {
  std::vector<Type> types;
  for (std::size_t i = 0; i < type_count; ++i) types.push_back(static_cast<Type>(i));
  return types;
}

flagos_status_t destroy_object(Type type, std::uint64_t handle) {
  switch (type) {
    case Type::runtime:
      return flagos_runtime_destroy(to<flagos_runtime_t>(handle));
    case Type::device:
      return flagos_device_close(to<flagos_device_t>(handle));
    case Type::stream:
      return flagos_stream_destroy(to<flagos_stream_t>(handle));
    case Type::event:
      return flagos_event_destroy(to<flagos_event_t>(handle));
    case Type::module:
      return flagos_module_unload(to<flagos_module_t>(handle));
    case Type::blob:
      return flagos_blob_destroy(to<flagos_blob_t>(handle));
    case Type::prepared:
      return flagos_prepared_destroy(to<flagos_prepared_t>(handle));
    case Type::memory_pool:
      return flagos_memory_pool_destroy(to<flagos_memory_pool_t>(handle));
    case Type::timeline:
      return flagos_timeline_destroy(to<flagos_timeline_t>(handle));
    case Type::graph:
      return flagos_graph_destroy(to<flagos_graph_t>(handle));
    case Type::graph_exec:
      return flagos_graph_exec_destroy(to<flagos_graph_exec_t>(handle));
    case Type::profiler:
      return flagos_profiler_destroy(to<flagos_profiler_t>(handle));
    case Type::communicator:
      return flagos_communicator_destroy(to<flagos_communicator_t>(handle));
    case Type::physical_memory:
      return flagos_physical_memory_destroy(to<flagos_physical_memory_t>(handle));
    case Type::kernel:
    case Type::count:
      break;
  }
  return FLAGOS_STATUS_OK;
}

World::World(Context& t) : World(t, t.runtime(), t.info().index) {}

World::World(Context& t, flagos_runtime_t* runtime, std::uint32_t device_index)
    : t_(&t), live_(true), device_index_(device_index), plugin_path_(t.settings().plugin_path) {
  set(Type::runtime, from(runtime));
  image_ = t.module_image(&image_format_);
  try {
    build();
  } catch (...) {
    close();
    throw;
  }
}

World::World(const Handles& handles)
    : handles_(handles), image_(no_image, no_image + sizeof no_image) {
  launch_arguments_ = {arg(memory_), arg(memory_), arg_u32(1)};
  node_launch_ = launch_desc({1, 1, 1}, {1, 1, 1}, launch_arguments_);
  spare_device_ = device();
  exportable_memory_ = memory_;
  exportable_event_ = event();
  external_memory_.struct_size = external_event_.struct_size = sizeof(flagos_external_t);
  external_physical_.struct_size = sizeof(flagos_external_t);
  external_physical_.fd = -1;
}

World::~World() { close(); }

void World::build() {
  flagos_device_t* device = nullptr;
  t_->ok(flagos_device_open(runtime(), device_index_, &device), "open the device");
  set(Type::device, from(device));
  t_->ok(flagos_device_open(runtime(), device_index_, &spare_device_),
         "open the device a second time");
  flagos_device_info_t info{};
  info.struct_size = sizeof info;
  t_->ok(flagos_device_get_info(device, &info), "describe the device");
  device_id_ = info.id;

  set(Type::stream, make(Type::stream));
  set(Type::event, make(Type::event));
  t_->ok(flagos_event_record(event(), stream()), "record the event");
  build_memory();
  build_virtual_memory();
  for (const Type type : {Type::module, Type::memory_pool, Type::timeline}) set(type, make(type));
  flagos_kernel_t* kernel = nullptr;
  const auto desc = valid<flagos_kernel_desc_t>();
  t_->ok(flagos_module_get_kernel(module(), &desc, &kernel), "get the kernel copy_u32");
  set(Type::kernel, from(kernel));
  launch_arguments_ = {arg(target()), arg(source()), arg_u32(16)};
  node_launch_ = launch_desc({1, 1, 1}, {16, 1, 1}, launch_arguments_);
  for (const Type type : {Type::blob, Type::prepared, Type::graph}) set(type, make(type));
  std::uint64_t count = 0;
  t_->ok(flagos_graph_get_nodes(graph(), 1, &node_, &count), "the node of the graph");
  set(Type::graph_exec, make(Type::graph_exec));
  flagos_profiler_t* profiler = nullptr;
  if (has(FLAGOS_FEATURE_PROFILING))
    t_->ok(flagos_profiler_create(device, nullptr, &profiler), "create a profiler");
  set(Type::profiler, from(profiler));
  set(Type::communicator, make(Type::communicator));
  t_->ok(flagos_stream_synchronize(stream(), 60'000'000'000u), "finish what built the world");
}

void World::build_memory() {
  auto desc = valid<flagos_memory_desc_t>();
  desc.size_bytes = memory_size;
  memory_ = 0;
  t_->ok(flagos_memory_alloc(device(), &desc, &memory_), "allocate 4096 bytes");
  std::vector<std::uint8_t> bytes(memory_size);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  std::memset(bytes.data() + 1024, 0, 64);
  t_->ok(flagos_memory_copy(stream(), memory_, from(bytes.data()), bytes.size()),
         "copy to the device");
  t_->ok(flagos_stream_synchronize(stream(), 60'000'000'000u), "wait for the copy");
  spare_memory_ = 0;
  t_->ok(flagos_memory_alloc(spare_device_, &desc, &spare_memory_), "allocate as much elsewhere");
  build_exports();
}

// Some devices export pinned memory only.
void World::build_exports() {
  external_memory_.struct_size = external_event_.struct_size = sizeof(flagos_external_t);
  external_memory_.fd = external_event_.fd = -1;
  if (has(FLAGOS_FEATURE_EXPORT_MEMORY)) {
    auto desc = valid<flagos_memory_desc_t>();
    desc.size_bytes = memory_size;
    desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
    if (flagos_memory_alloc(device(), &desc, &exportable_memory_) != FLAGOS_STATUS_OK) {
      desc.kind = FLAGOS_MEMORY_KIND_PINNED;
      t_->ok(flagos_memory_alloc(device(), &desc, &exportable_memory_),
             "allocate memory that can be exported");
    }
    t_->ok(flagos_memory_export(device(), exportable_memory_, &external_memory_), "export memory");
  }
  if (!has(FLAGOS_FEATURE_EXPORT_EVENT)) return;
  auto desc = valid<flagos_event_desc_t>();
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING | FLAGOS_EVENT_FLAG_EXPORTABLE;
  t_->ok(flagos_event_create(device(), &desc, &exportable_event_),
         "create an event that can be exported");
  t_->ok(flagos_event_export(exportable_event_, &external_event_), "export an event");
}

void World::close_exports() {
  for (flagos_external_t* const external :
       {&external_memory_, &external_event_, &external_physical_}) {
    if (external->struct_size != 0 && external->fd >= 0) ::close(external->fd);
    external->fd = -1;
  }
}

// Exportable where the device can, so that the export has something to give.
void World::build_virtual_memory() {
  external_physical_.struct_size = sizeof external_physical_;
  external_physical_.fd = -1;
  if (!has(FLAGOS_FEATURE_VIRTUAL_MEMORY)) return;
  auto desc = valid<flagos_physical_memory_desc_t>();
  desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
  std::uint64_t unit = 0;
  if (flagos_virtual_memory_get_granularity(device(), &desc, &unit, nullptr) == FLAGOS_STATUS_OK)
    physical_flags_ = desc.flags;
  desc.flags = physical_flags_;
  t_->ok(flagos_virtual_memory_get_granularity(device(), &desc, &unit_, nullptr),
         "the granularity");
  set(Type::physical_memory, make(Type::physical_memory));
  if (physical_flags_ != 0)
    t_->ok(flagos_physical_memory_export(physical_memory(), &external_physical_),
           "export physical memory");
  t_->ok(flagos_virtual_memory_reserve(device(), 4 * unit_, 0, 0, &reserved_), "reserve addresses");
  t_->ok(flagos_virtual_memory_map(device(), reserved_, unit_, physical_memory(), 0), "map memory");
}

flagos_status_t World::close_virtual_memory() {
  flagos_status_t worst = destroy_object(Type::physical_memory, handle(Type::physical_memory));
  if (reserved_ == 0) return worst;
  for (const flagos_status_t status : {flagos_virtual_memory_unmap(device(), reserved_),
                                       flagos_virtual_memory_release(device(), reserved_)}) {
    if (status != FLAGOS_STATUS_OK) worst = status;
  }
  return worst;
}

flagos_status_t World::close() {
  if (!live_) return FLAGOS_STATUS_OK;
  live_ = false;
  flagos_status_t worst = FLAGOS_STATUS_OK;
  const auto note = [&](flagos_status_t status) {
    if (status != FLAGOS_STATUS_OK) worst = status;
  };
  for (const Type type :
       {Type::communicator, Type::profiler, Type::graph_exec, Type::graph, Type::prepared,
        Type::blob, Type::module, Type::timeline, Type::memory_pool, Type::event, Type::stream})
    note(destroy_object(type, handle(type)));
  note(close_virtual_memory());
  if (memory_ != 0x10000) note(flagos_memory_free(device(), memory_));
  if (spare_memory_ != 0x10000) note(flagos_memory_free(spare_device_, spare_memory_));
  note(flagos_memory_free(device(), exportable_memory_));
  note(flagos_event_destroy(exportable_event_));
  close_exports();
  note(flagos_device_close(spare_device_));
  note(flagos_device_close(device()));
  return worst;
}

bool World::has(flagos_feature_t feature) const {
  flagos_support_t support = FLAGOS_SUPPORT_ABSENT;
  return flagos_device_get_feature(device(), feature, &support) == FLAGOS_STATUS_OK &&
         support != FLAGOS_SUPPORT_ABSENT;
}

void World::made(flagos_status_t status, const char* what) const {
  if (t_ != nullptr) t_->ok(status, what);
}

std::uint64_t World::make_module() const {
  flagos_module_t* module = nullptr;
  const auto desc = valid<flagos_module_desc_t>();
  made(flagos_module_load(device(), &desc, &module), "load the suite's module");
  return from(module);
}

std::uint64_t World::make_prepared() const {
  if (!has(FLAGOS_FEATURE_PREPARED_LAUNCH)) return 0;
  flagos_prepared_t* prepared = nullptr;
  const auto desc = valid<flagos_launch_desc_t>();
  made(flagos_kernel_prepare(kernel(), &desc, &prepared), "prepare a launch");
  return from(prepared);
}

std::uint64_t World::make_graph() const {
  if (!has(FLAGOS_FEATURE_GRAPH)) return 0;
  flagos_graph_t* graph = nullptr;
  flagos_graph_node_t node = 0;
  const auto desc = valid<flagos_graph_node_desc_t>();
  made(flagos_graph_create(device(), &graph), "create a graph");
  made(flagos_graph_add_node(graph, &desc, &node), "add a node");
  return from(graph);
}

std::uint64_t World::make_graph_exec() const {
  if (graph() == nullptr) return 0;
  flagos_graph_exec_t* exec = nullptr;
  made(flagos_graph_instantiate(graph(), &exec), "instantiate the graph");
  return from(exec);
}

std::uint64_t World::make_communicator() const {
  if (!has(FLAGOS_FEATURE_COLLECTIVE)) return 0;
  flagos_communicator_t* communicator = nullptr;
  const auto desc = valid<flagos_communicator_desc_t>();
  made(flagos_communicator_create(device(), &desc, &communicator), "join a communicator of one");
  return from(communicator);
}

std::uint64_t World::make(Type type) const {
  if (!live_) return handle(type);
  switch (type) {
    case Type::runtime: {
      flagos_runtime_t* object = nullptr;
      const auto desc = valid<flagos_runtime_desc_t>();
      made(flagos_runtime_create(&desc, &object), "create a runtime");
      return from(object);
    }
    case Type::device: {
      flagos_device_t* object = nullptr;
      made(flagos_device_open(runtime(), device_index_, &object), "open the device");
      return from(object);
    }
    case Type::stream: {
      flagos_stream_t* object = nullptr;
      made(flagos_stream_create(device(), nullptr, &object), "create a stream");
      return from(object);
    }
    case Type::event: {
      flagos_event_t* object = nullptr;
      made(flagos_event_create(device(), nullptr, &object), "create an event");
      return from(object);
    }
    case Type::memory_pool: {
      flagos_memory_pool_t* object = nullptr;
      const auto desc = valid<flagos_memory_pool_desc_t>();
      made(flagos_memory_pool_create(device(), &desc, &object), "create a pool");
      return from(object);
    }
    case Type::timeline: {
      flagos_timeline_t* object = nullptr;
      made(flagos_timeline_create(device(), 0, &object), "create a timeline");
      return from(object);
    }
    case Type::blob: {
      flagos_blob_t* object = nullptr;
      const auto desc = valid<flagos_module_desc_t>();
      flagos_module_compile(device(), &desc, &object);  // the suite has no source in every format
      return from(object);
    }
    case Type::profiler: {
      flagos_profiler_t* object = nullptr;
      if (has(FLAGOS_FEATURE_PROFILING))
        made(flagos_profiler_create(spare_device_, nullptr, &object), "create a profiler");
      return from(object);
    }
    case Type::physical_memory: {
      flagos_physical_memory_t* object = nullptr;
      const auto desc = valid<flagos_physical_memory_desc_t>();
      if (has(FLAGOS_FEATURE_VIRTUAL_MEMORY))
        made(flagos_physical_memory_create(device(), &desc, &object), "create physical memory");
      return from(object);
    }
    case Type::module:
      return make_module();
    case Type::prepared:
      return make_prepared();
    case Type::graph:
      return make_graph();
    case Type::graph_exec:
      return make_graph_exec();
    case Type::communicator:
      return make_communicator();
    case Type::kernel:
      return handle(Type::kernel);
    case Type::count:
      break;
  }
  return 0;
}

void World::describe(flagos_runtime_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
}

void World::describe(flagos_memory_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 256;
}

void World::describe(flagos_copy_2d_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.target = target();
  desc.source = source();
  desc.target_pitch_bytes = 64;
  desc.source_pitch_bytes = 128;
  desc.width_bytes = 32;
  desc.height = 4;
}

void World::describe(flagos_memory_pool_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
}

void World::describe(flagos_stream_desc_t& desc) const { desc.struct_size = sizeof desc; }

void World::describe(flagos_event_desc_t& desc) const { desc.struct_size = sizeof desc; }

void World::describe(flagos_module_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.format = image_format_.c_str();
  desc.data = image_.data();
  desc.size_bytes = image_.size();
}

void World::describe(flagos_kernel_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.name = "copy_u32";
}

void World::describe(flagos_launch_desc_t& desc) const { desc = node_launch_; }

void World::describe(flagos_graph_node_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.type = FLAGOS_GRAPH_NODE_TYPE_EMPTY;
}

void World::describe(flagos_kernel_node_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.kernel = kernel();
  desc.launch = &node_launch_;
}

void World::describe(flagos_copy_node_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.target = target();
  desc.source = source();
  desc.size_bytes = 64;
}

void World::describe(flagos_fill_node_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.pattern_size_bytes = 4;
  desc.target = target();
  desc.size_bytes = 64;
}

void World::describe(flagos_host_node_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.function = &do_nothing;
}

void World::describe(flagos_event_node_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.event = event();
}

void World::describe(flagos_child_node_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.graph = graph();
}

void World::describe(flagos_profiler_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.capacity = 16;
}

// The first operator, without its arguments: no plugin takes it, and each must say so.
void World::describe(flagos_operator_desc_t& desc) const { desc.struct_size = sizeof desc; }

// Of one rank, with an id of its own; it is used before the thread has asked for eight more.
void World::describe(flagos_communicator_desc_t& desc) const {
  static thread_local std::array<flagos_collective_id_t, 8> ids;
  static thread_local std::size_t next = 0;
  flagos_collective_id_t& id = ids[next++ % ids.size()];
  if (!live_ || flagos_collective_id_create(device(), &id) != FLAGOS_STATUS_OK) id.size_bytes = 16;
  desc.struct_size = sizeof desc;
  desc.id = &id;
  desc.size = 1;
  desc.timeout_ns = 20'000'000'000u;
}

void World::describe(flagos_collective_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.dtype = FLAGOS_DTYPE_FLOAT32;
  desc.source = source();
  desc.target = target();
  desc.count = 16;
}

void World::describe(flagos_physical_memory_desc_t& desc) const {
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = unit_;
  desc.flags = physical_flags_;
}

void World::describe(flagos_tensor_t& tensor) const {
  static constexpr std::int64_t shape[] = {4, 16};
  tensor.struct_size = sizeof tensor;
  tensor.dtype = FLAGOS_DTYPE_FLOAT32;
  tensor.address = source();
  tensor.rank = 2;
  tensor.shape = shape;
}

std::vector<std::uint64_t> World::snapshot() const {
  // No two values are equal, so that a copy that does nothing is never taken for one that did.
  std::vector<std::uint64_t> values(memory_size / sizeof(std::uint64_t));
  std::iota(values.begin(), values.end(), std::uint64_t{1});
  t_->ok(flagos_memory_copy(stream(), from(values.data()), memory_, memory_size),
         "read the memory back");
  t_->ok(flagos_stream_synchronize(stream(), 60'000'000'000u), "wait for the memory");
  std::uint32_t event_complete = 0, kernels = 0, devices = 0, candidates = 0;
  std::uint64_t timeline_value = 0;
  flagos_graph_info_t graph_info{sizeof graph_info, 0, 0, 0};
  flagos_memory_pool_statistics_t pool_statistics{};
  pool_statistics.struct_size = sizeof pool_statistics;
  flagos_memory_info_t memory_info{};
  memory_info.struct_size = sizeof memory_info;
  t_->ok(flagos_event_query(event(), &event_complete), "query the event");
  t_->ok(flagos_timeline_query(timeline(), &timeline_value), "query the timeline");
  flagos_module_get_kernel_count(module(), &kernels);  // not every format can tell
  t_->ok(flagos_device_get_count(runtime(), &devices), "count the devices");
  t_->ok(flagos_runtime_get_candidate_count(runtime(), &candidates), "count the candidates");
  t_->ok(flagos_memory_pool_get_statistics(pool(), &pool_statistics), "pool statistics");
  t_->ok(flagos_memory_get_info(device(), memory_ + 5, &memory_info), "what lies at the memory");
  t_->ok(flagos_device_query_status(device()), "status of the device");
  if (graph() != nullptr) t_->ok(flagos_graph_get_info(graph(), &graph_info), "describe the graph");
  for (int i = 0; i < 4 && reserved_ != 0; ++i) {
    flagos_memory_info_t mapped{};
    mapped.struct_size = sizeof mapped;
    t_->ok(flagos_memory_get_info(device(), reserved_ + static_cast<std::uint64_t>(i) * unit_,
                                  &mapped),
           "what is mapped");
    values.push_back(mapped.size_bytes);
  }
  values.insert(values.end(),
                {event_complete, timeline_value, kernels, devices, candidates,
                 pool_statistics.live_blocks, pool_statistics.used_bytes, memory_info.base,
                 memory_info.size_bytes, graph_info.node_count, graph_info.edge_count});
  return values;
}

}  // namespace flagos::conformance
