#include "conformance/cases/structs.hpp"

#include <cstddef>
#include <cstring>

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;

// Calls a create function with the struct and destroys what it made.
template <class Object, class Create, class Destroy>
flagos_status_t make_and_destroy(Create create, Destroy destroy) {
  Object* made = nullptr;
  const flagos_status_t status = create(&made);
  if (status == ok) destroy(made);
  return status;
}

Struct runtime_row() {
  Struct row = in_struct_row<flagos_runtime_desc_t>("flagos_runtime_desc_t");
  row.next_offset = offsetof(flagos_runtime_desc_t, next);
  row.flags = {{offsetof(flagos_runtime_desc_t, flags), 8,
                FLAGOS_RUNTIME_FLAG_NO_SEARCH | FLAGOS_RUNTIME_FLAG_NO_ENVIRONMENT}};
  row.use = [](World&, void* desc) {
    return make_and_destroy<flagos_runtime_t>(
        [=](auto** made) {
          return flagos_runtime_create(static_cast<flagos_runtime_desc_t*>(desc), made);
        },
        flagos_runtime_destroy);
  };
  return row;
}

Struct memory_row() {
  Struct row = in_struct_row<flagos_memory_desc_t>("flagos_memory_desc_t");
  row.next_offset = offsetof(flagos_memory_desc_t, next);
  row.flags = {{offsetof(flagos_memory_desc_t, flags), 8,
                FLAGOS_MEMORY_FLAG_ZERO | FLAGOS_MEMORY_FLAG_EXPORTABLE}};
  row.enums = {{offsetof(flagos_memory_desc_t, kind),
                {FLAGOS_MEMORY_KIND_UNKNOWN, FLAGOS_MEMORY_KIND_REGISTERED, 5, INT32_MAX, -1},
                {invalid_argument}}};
  row.use = [](World& world, void* desc) {
    flagos_address_t address = 0;
    const flagos_status_t status =
        flagos_memory_alloc(world.device(), static_cast<flagos_memory_desc_t*>(desc), &address);
    if (status == ok) flagos_memory_free(world.device(), address);
    return status;
  };
  return row;
}

Struct pool_row() {
  Struct row = in_struct_row<flagos_memory_pool_desc_t>("flagos_memory_pool_desc_t");
  row.next_offset = offsetof(flagos_memory_pool_desc_t, next);
  row.flags = {{offsetof(flagos_memory_pool_desc_t, flags), 8, 0}};
  row.enums = {{offsetof(flagos_memory_pool_desc_t, kind),
                {FLAGOS_MEMORY_KIND_UNKNOWN, FLAGOS_MEMORY_KIND_REGISTERED, 5, INT32_MAX, -1},
                {invalid_argument}}};
  row.use = [](World& world, void* desc) {
    return make_and_destroy<flagos_memory_pool_t>(
        [&](auto** made) {
          return flagos_memory_pool_create(world.device(),
                                           static_cast<flagos_memory_pool_desc_t*>(desc), made);
        },
        flagos_memory_pool_destroy);
  };
  return row;
}

Struct copy_2d_row() {
  Struct row = in_struct_row<flagos_copy_2d_desc_t>("flagos_copy_2d_desc_t");
  row.next_offset = offsetof(flagos_copy_2d_desc_t, next);
  row.flags = {{offsetof(flagos_copy_2d_desc_t, flags), 4, 0}};
  row.needs = FLAGOS_FEATURE_COPY_2D;
  row.use = [](World& world, void* desc) {
    return flagos_memory_copy_2d(world.stream(), static_cast<flagos_copy_2d_desc_t*>(desc));
  };
  return row;
}

Struct stream_row() {
  Struct row = in_struct_row<flagos_stream_desc_t>("flagos_stream_desc_t");
  row.next_offset = offsetof(flagos_stream_desc_t, next);
  row.flags = {{offsetof(flagos_stream_desc_t, flags), 8, 0}};
  row.enums = {
      {offsetof(flagos_stream_desc_t, priority), {INT32_MAX, INT32_MIN}, {invalid_argument}}};
  row.use = [](World& world, void* desc) {
    return make_and_destroy<flagos_stream_t>(
        [&](auto** made) {
          return flagos_stream_create(world.device(), static_cast<flagos_stream_desc_t*>(desc),
                                      made);
        },
        flagos_stream_destroy);
  };
  return row;
}

Struct event_row() {
  Struct row = in_struct_row<flagos_event_desc_t>("flagos_event_desc_t");
  row.next_offset = offsetof(flagos_event_desc_t, next);
  row.flags = {{offsetof(flagos_event_desc_t, flags), 4,
                FLAGOS_EVENT_FLAG_NO_TIMING | FLAGOS_EVENT_FLAG_BLOCKING_SYNC |
                    FLAGOS_EVENT_FLAG_EXPORTABLE}};
  row.use = [](World& world, void* desc) {
    return make_and_destroy<flagos_event_t>(
        [&](auto** made) {
          return flagos_event_create(world.device(), static_cast<flagos_event_desc_t*>(desc), made);
        },
        flagos_event_destroy);
  };
  return row;
}

Struct module_row() {
  Struct row = in_struct_row<flagos_module_desc_t>("flagos_module_desc_t");
  row.next_offset = offsetof(flagos_module_desc_t, next);
  row.flags = {{offsetof(flagos_module_desc_t, flags), 4, 0}};
  row.use = [](World& world, void* desc) {
    return make_and_destroy<flagos_module_t>(
        [&](auto** made) {
          return flagos_module_load(world.device(), static_cast<flagos_module_desc_t*>(desc), made);
        },
        flagos_module_unload);
  };
  return row;
}

Struct kernel_row() {
  Struct row = in_struct_row<flagos_kernel_desc_t>("flagos_kernel_desc_t");
  row.next_offset = offsetof(flagos_kernel_desc_t, next);
  row.flags = {{offsetof(flagos_kernel_desc_t, flags), 4, 0}};
  row.padding = {offsetof(flagos_kernel_desc_t, padding)};
  row.use = [](World& world, void* desc) {
    flagos_kernel_t* kernel = nullptr;
    return flagos_module_get_kernel(world.module(), static_cast<flagos_kernel_desc_t*>(desc),
                                    &kernel);
  };
  return row;
}

Struct launch_row() {
  Struct row = in_struct_row<flagos_launch_desc_t>("flagos_launch_desc_t in flagos_kernel_launch");
  row.next_offset = offsetof(flagos_launch_desc_t, next);
  row.flags = {{offsetof(flagos_launch_desc_t, flags), 4,
                FLAGOS_LAUNCH_FLAG_COOPERATIVE | FLAGOS_LAUNCH_CLUSTER(0xff, 0xff, 0xff)}};
  row.use = [](World& world, void* desc) {
    return flagos_kernel_launch(world.stream(), world.kernel(),
                                static_cast<flagos_launch_desc_t*>(desc));
  };
  return row;
}

Struct prepare_row() {
  Struct row = launch_row();
  row.name = "flagos_launch_desc_t in flagos_kernel_prepare";
  row.needs = FLAGOS_FEATURE_PREPARED_LAUNCH;
  row.use = [](World& world, void* desc) {
    return make_and_destroy<flagos_prepared_t>(
        [&](auto** made) {
          return flagos_kernel_prepare(world.kernel(), static_cast<flagos_launch_desc_t*>(desc),
                                       made);
        },
        flagos_prepared_destroy);
  };
  return row;
}

Struct profiler_row() {
  Struct row = in_struct_row<flagos_profiler_desc_t>("flagos_profiler_desc_t");
  row.next_offset = offsetof(flagos_profiler_desc_t, next);
  row.flags = {{offsetof(flagos_profiler_desc_t, flags), 4, 0}};
  row.needs = FLAGOS_FEATURE_PROFILING;
  row.use = [](World& world, void* desc) {
    return make_and_destroy<flagos_profiler_t>(
        [&](auto** made) {
          return flagos_profiler_create(world.spare_device(),
                                        static_cast<flagos_profiler_desc_t*>(desc), made);
        },
        flagos_profiler_destroy);
  };
  return row;
}

}  // namespace

bool usable(const World& world, const Struct& row) {
  if (row.needs != FLAGOS_FEATURE_COUNT && !world.has(row.needs)) return false;
  return !row.present || row.present(world);
}

const std::vector<Struct>& in_structs() {
  static const std::vector<Struct> rows = [] {
    std::vector<Struct> made{runtime_row(), memory_row(),  pool_row(),    copy_2d_row(),
                             stream_row(),  event_row(),   module_row(),  kernel_row(),
                             launch_row(),  prepare_row(), profiler_row()};
    describe_graph_structs(made);
    describe_interop_structs(made);
    describe_collective_structs(made);
    return made;
  }();
  return rows;
}

const std::vector<Struct>& out_structs() {
  static const std::vector<Struct> rows = [] {
    std::vector<Struct> made{
        out_struct_row<flagos_version_info_t>(
            "flagos_version_info_t", [](World&, auto* info) { return flagos_get_version(info); }),
        out_struct_row<flagos_candidate_info_t>("flagos_candidate_info_t",
                                                [](World& world, auto* info) {
                                                  return flagos_runtime_get_candidate(
                                                      world.runtime(), 0, info);
                                                }),
        out_struct_row<flagos_device_info_t>("flagos_device_info_t in flagos_device_describe",
                                             [](World& world, auto* info) {
                                               return flagos_device_describe(
                                                   world.runtime(), world.device_index(), info);
                                             }),
        out_struct_row<flagos_device_info_t>(
            "flagos_device_info_t in flagos_device_get_info",
            [](World& world, auto* info) { return flagos_device_get_info(world.device(), info); }),
        out_struct_row<flagos_memory_info_t>("flagos_memory_info_t",
                                             [](World& world, auto* info) {
                                               return flagos_memory_get_info(world.device(),
                                                                             world.memory(), info);
                                             }),
        out_struct_row<flagos_memory_pool_statistics_t>("flagos_memory_pool_statistics_t",
                                                        [](World& world, auto* info) {
                                                          return flagos_memory_pool_get_statistics(
                                                              world.pool(), info);
                                                        }),
        out_struct_row<flagos_format_info_t>("flagos_format_info_t",
                                             [](World& world, auto* info) {
                                               return flagos_module_get_format(world.device(), 0,
                                                                               info);
                                             }),
        out_struct_row<flagos_kernel_info_t>(
            "flagos_kernel_info_t",
            [](World& world, auto* info) { return flagos_kernel_get_info(world.kernel(), info); }),
        out_struct_row<flagos_graph_info_t>(
            "flagos_graph_info_t",
            [](World& world, auto* info) { return flagos_graph_get_info(world.graph(), info); }),
        out_struct_row<flagos_graph_node_info_t>(
            "flagos_graph_node_info_t", [](World& world, auto* info) {
              return flagos_graph_get_node_info(world.graph(), world.node(), info);
            })};
    for (Struct& row : made)
      if (row.name.starts_with("flagos_graph")) row.needs = FLAGOS_FEATURE_GRAPH;
    describe_interop_out_structs(made);
    describe_collective_out_structs(made);
    return made;
  }();
  return rows;
}

}  // namespace flagos::conformance
