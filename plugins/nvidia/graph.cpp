#include "plugins/nvidia/graph.hpp"

#include <cstring>

#include "plugins/nvidia/handles.hpp"
#include "plugins/nvidia/stream.hpp"
#include "plugins/nvidia/transfer.hpp"

namespace flagos::nvidia {
namespace {

bool is_copy(flagos_graph_node_type_t type) {
  return type == FLAGOS_GRAPH_NODE_TYPE_COPY || type == FLAGOS_GRAPH_NODE_TYPE_COPY_2D;
}

bool overlaps(const flagos_copy_2d_desc_t& copy) {
  const std::uint64_t target_span = (copy.height - 1) * copy.target_pitch_bytes + copy.width_bytes;
  const std::uint64_t source_span = (copy.height - 1) * copy.source_pitch_bytes + copy.width_bytes;
  return copy.target < copy.source + source_span && copy.source < copy.target + target_span;
}

[[noreturn]] void refuse(const char* what) {
  throw_error(FLAGOS_STATUS_UNSUPPORTED, "the driver's graphs have no {}", what);
}

}  // namespace

Graph::Graph(Device& device, const flagos_plugin_graph_node_t* nodes, std::uint32_t count)
    : device_(device), driver_(device.driver()), nodes_(copy_nodes(nodes, count)) {
  const CUgraph graph = make(*nodes_);
  try {
    exec_ = instantiate(graph);
  } catch (...) {
    driver_.cuGraphDestroy(graph);
    throw;
  }
  driver_.cuGraphDestroy(graph);
}

Graph::~Graph() {
  driver_.cuGraphExecDestroy(exec_);
  for (CUgraphExec exec : former_) driver_.cuGraphExecDestroy(exec);
  if (done_ != nullptr) device_.events().give_back(done_, false);
}

GraphNodes Graph::copy_nodes(const flagos_plugin_graph_node_t* nodes, std::uint32_t count) const {
  if (driver_.cuGraphAddKernelNode_v2 == nullptr)
    refuse("kernels with this driver (CUDA 12 is needed)");
  auto copied = std::make_shared<std::vector<GraphNode>>(count);
  const auto is_pageable = [&](flagos_address_t address) {
    return device_.memory().place_of(address) == Place::pageable;
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    GraphNode& node = (*copied)[i];
    node.desc = nodes[i];
    node.dependencies.assign(nodes[i].dependencies,
                             nodes[i].dependencies + nodes[i].dependency_count);
    node.desc.dependencies = nullptr;
    if (nodes[i].type == FLAGOS_GRAPH_NODE_TYPE_KERNEL) {
      node.kernel = &from_c(nodes[i].kernel);
      if (node.kernel->fails()) refuse("kernels that report failures");
      if (nodes[i].launch->flags != 0 && driver_.cuGraphKernelNodeSetAttribute == nullptr)
        refuse("place for how blocks of a kernel stand together");
      node.launch = *nodes[i].launch;
      node.kernel->check(node.launch);
      node.block = node.kernel->copy_block(node.launch);
      node.launch.argument_block = node.block.data();
    } else if (is_copy(nodes[i].type)) {
      if (overlaps(nodes[i].copy)) refuse("copies between ranges that overlap");
      if (is_pageable(nodes[i].copy.target) || is_pageable(nodes[i].copy.source))
        refuse("copies of ordinary host memory that read it when they run");
    } else if (nodes[i].type == FLAGOS_GRAPH_NODE_TYPE_FILL) {
      if (is_pageable(nodes[i].fill_target)) refuse("fills of ordinary host memory");
    } else {
      refuse("nodes of this type whose status can be told");
    }
  }
  return copied;
}

CUgraph Graph::make(const std::vector<GraphNode>& nodes) const {
  CUgraph graph = nullptr;
  device_.check(driver_.cuGraphCreate(&graph, 0), "cuGraphCreate");
  try {
    std::vector<CUgraphNode> made;
    for (const GraphNode& node : nodes) {
      std::vector<CUgraphNode> before;
      for (const std::uint32_t index : node.dependencies) before.push_back(made[index]);
      made.push_back(add(graph, node, before));
    }
  } catch (...) {
    driver_.cuGraphDestroy(graph);
    throw;
  }
  return graph;
}

// The last one of the driver's nodes that stand for it.
CUgraphNode Graph::add(CUgraph graph, const GraphNode& node,
                       const std::vector<CUgraphNode>& before) const {
  CUgraphNode made = nullptr;
  if (node.kernel != nullptr) {
    std::size_t size = node.block.size();
    auto* const block = const_cast<std::byte*>(node.block.data());
    void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, block, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                     CU_LAUNCH_PARAM_END};
    CUDA_KERNEL_NODE_PARAMS kernel{};
    kernel.func = node.kernel->handle();
    kernel.gridDimX = node.launch.grid[0];
    kernel.gridDimY = node.launch.grid[1];
    kernel.gridDimZ = node.launch.grid[2];
    kernel.blockDimX = node.launch.block[0];
    kernel.blockDimY = node.launch.block[1];
    kernel.blockDimZ = node.launch.block[2];
    kernel.sharedMemBytes = node.launch.shared_bytes;
    kernel.extra = size != 0 ? extra : nullptr;
    device_.check(
        driver_.cuGraphAddKernelNode_v2(&made, graph, before.data(), before.size(), &kernel),
        "cuGraphAddKernelNode");
    set_together(made, node.launch.flags);
    return made;
  }
  if (is_copy(node.desc.type)) {
    const flagos_copy_2d_desc_t& rows = node.desc.copy;
    CUDA_MEMCPY3D copy{};
    copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_UNIFIED;
    copy.srcDevice = rows.source;
    copy.srcPitch = rows.source_pitch_bytes;
    copy.dstDevice = rows.target;
    copy.dstPitch = rows.target_pitch_bytes;
    copy.WidthInBytes = rows.width_bytes;
    copy.Height = rows.height;
    copy.Depth = 1;
    if (copy.Height == 1) copy.srcPitch = copy.dstPitch = copy.WidthInBytes;
    device_.check(driver_.cuGraphAddMemcpyNode(&made, graph, before.data(), before.size(), &copy,
                                               device_.context()),
                  "cuGraphAddMemcpyNode");
    return made;
  }
  // A wide pattern is several columns of words, one behind the other.
  const std::uint32_t unit = node.desc.fill_pattern_size_bytes;
  std::vector<CUgraphNode> chain = before;
  for (std::uint32_t at = 0; at < unit; at += 4) {
    CUDA_MEMSET_NODE_PARAMS fill{};
    fill.dst = node.desc.fill_target + at;
    fill.elementSize = unit < 4 ? unit : 4;
    std::memcpy(&fill.value, node.desc.fill_pattern + at, fill.elementSize);
    const std::uint64_t count = node.desc.fill_size_bytes / unit;
    fill.width = unit <= 4 ? count : 1;
    fill.height = unit <= 4 ? 1 : count;
    fill.pitch = unit <= 4 ? node.desc.fill_size_bytes : unit;
    device_.check(driver_.cuGraphAddMemsetNode(&made, graph, chain.data(), chain.size(), &fill,
                                               device_.context()),
                  "cuGraphAddMemsetNode");
    chain.assign(1, made);
  }
  return made;
}

// Where the driver does not want it core runs the graph.
void Graph::set_together(CUgraphNode node, std::uint32_t flags) const {
  const Together together(flags);
  for (unsigned i = 0; i < together.count; ++i) {
    const CUlaunchAttribute& attribute = together.attributes[i];
    const CUresult code =
        driver_.cuGraphKernelNodeSetAttribute(node, attribute.id, &attribute.value);
    if (is_sticky(code)) device_.fail(code, "cuGraphKernelNodeSetAttribute");
    if (code != CUDA_SUCCESS) refuse("kernels whose blocks stand together as asked");
  }
}

CUgraphExec Graph::instantiate(CUgraph graph) const {
  CUgraphExec exec = nullptr;
  device_.check(driver_.cuGraphInstantiateWithFlags(&exec, graph, 0), "cuGraphInstantiate");
  return exec;
}

void Graph::update(const flagos_plugin_graph_node_t* nodes, std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  GraphNodes copied = copy_nodes(nodes, count);
  const CUgraph graph = make(*copied);
  CUgraphExecUpdateResultInfo info{};
  CUresult code = CUDA_ERROR_NOT_SUPPORTED;
  if (driver_.cuGraphExecUpdate_v2 != nullptr)
    code = driver_.cuGraphExecUpdate_v2(exec_, graph, &info);
  try {
    if (is_sticky(code)) device_.fail(code, "cuGraphExecUpdate");
    // What the driver cannot change it makes anew.
    if (code != CUDA_SUCCESS) {
      former_.reserve(former_.size() + 1);
      CUgraphExec fresh = instantiate(graph);
      former_.push_back(exec_);
      exec_ = fresh;
      is_last_native_ = false;
    }
  } catch (...) {
    driver_.cuGraphDestroy(graph);
    throw;
  }
  driver_.cuGraphDestroy(graph);
  nodes_ = std::move(copied);
}

// Behind the last run, where the driver does not see to it.
CUresult Graph::order(CUstream stream) {
  if (last_stream_ == nullptr || last_stream_ == stream) return CUDA_SUCCESS;
  if (done_ == nullptr) done_ = device_.events().take(false);
  bool was_live = false;
  const CUresult code = device_.with_stream(
      last_stream_, [&](CUstream last) { return driver_.cuEventRecord(done_, last); }, &was_live);
  if (!was_live || code != CUDA_SUCCESS) return code;
  return driver_.cuStreamWaitEvent(stream, done_, 0);
}

void Graph::launch(Stream& stream) {
  const std::lock_guard lock(mutex_);
  if (device_.is_profiling()) {
    replay(stream, nodes_);
    return;
  }
  const Operation operation{FLAGOS_RECORD_KIND_OTHER, "graph", 0};
  stream.submit(
      operation, "cuGraphLaunch",
      [&](CUstream handle, flagos_address_t) {
        if (!is_last_native_)
          if (const CUresult code = order(handle); code != CUDA_SUCCESS) return code;
        last_stream_ = handle;
        is_last_native_ = true;
        return driver_.cuGraphLaunch(exec_, handle);
      },
      // Later: with the nodes as they are now.
      [&] {
        return Command([this, &stream, nodes = nodes_](CUstream handle, flagos_address_t) {
          CUresult code = order(handle);
          for (const GraphNode& node : *nodes) {
            if (code != CUDA_SUCCESS) break;
            code = issue_node(stream, handle, node);
          }
          last_stream_ = handle;
          is_last_native_ = false;
          return code;
        });
      });
}

// Node by node, each with its own record.
void Graph::replay(Stream& stream, const GraphNodes& nodes) {
  stream.mark_launch(true);
  try {
    bool is_first = true;
    for (std::size_t i = 0; i < nodes->size(); ++i) {
      const GraphNode& node = (*nodes)[i];
      const Operation operation =
          node.kernel != nullptr ? node.kernel->operation()
          : is_copy(node.desc.type)
              ? Operation{FLAGOS_RECORD_KIND_COPY, "copy",
                          node.desc.copy.width_bytes * node.desc.copy.height}
              : Operation{FLAGOS_RECORD_KIND_FILL, "fill", node.desc.fill_size_bytes};
      stream.submit(operation, "a node of a graph",
                    [this, &stream, nodes, i, is_first](CUstream handle, flagos_address_t) {
                      CUresult code = is_first ? order(handle) : CUDA_SUCCESS;
                      last_stream_ = handle;
                      is_last_native_ = false;
                      return code == CUDA_SUCCESS ? issue_node(stream, handle, (*nodes)[i]) : code;
                    });
      is_first = false;
    }
  } catch (...) {
    stream.mark_launch(false);
    throw;
  }
  stream.mark_launch(false);
}

CUresult Graph::issue_node(Stream& stream, CUstream handle, const GraphNode& node) const {
  if (node.kernel != nullptr)
    return node.kernel->launch_now(handle, node.launch, const_cast<std::byte*>(node.block.data()),
                                   node.block.size(), 0);
  if (is_copy(node.desc.type)) return issue_copy(stream, handle, node.desc.copy);
  return issue_fill(stream, handle, node.desc.fill_target, node.desc.fill_pattern,
                    node.desc.fill_pattern_size_bytes, node.desc.fill_size_bytes);
}

// ---- entries ----------------------------------------------------------------------------------

flagos_status_t graph_instantiate(flagos_plugin_device_t* device,
                                  const flagos_plugin_graph_node_t* nodes, std::uint32_t node_count,
                                  flagos_plugin_graph_t** out_graph) noexcept {
  Device& self = from_c(device);
  return device_entry(
      self, [&] { *out_graph = to_c(std::make_unique<Graph>(self, nodes, node_count).release()); });
}

flagos_status_t graph_update(flagos_plugin_graph_t* graph, const flagos_plugin_graph_node_t* nodes,
                             std::uint32_t node_count) noexcept {
  Graph& self = from_c(graph);
  return device_entry(self.device(), [&] { self.update(nodes, node_count); });
}

flagos_status_t graph_launch(flagos_plugin_graph_t* graph,
                             flagos_plugin_stream_t* stream) noexcept {
  Graph& self = from_c(graph);
  return device_entry(self.device(), [&] { self.launch(from_c(stream)); });
}

void graph_destroy(flagos_plugin_graph_t* graph) noexcept {
  Device& device = from_c(graph).device();
  device_entry(device, [&] { delete &from_c(graph); });
}

}  // namespace flagos::nvidia
