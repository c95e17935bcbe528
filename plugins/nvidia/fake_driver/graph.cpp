// Graphs: nodes in the order in which they were added, which is one that their dependencies allow.
#include <algorithm>
#include <cstring>

#include "plugins/nvidia/fake_driver/fake.hpp"

namespace flagos::nvidia {

struct CUgraphNode_st {
  int type = 0;
  std::vector<std::size_t> dependencies;
  std::function<CUresult(CUcontext)> run;
  std::size_t index = 0;
  CUfunction function = nullptr;         // of a kernel
  std::shared_ptr<fake::Launch> launch;  // of a kernel
};
struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
};
struct CUgraphExec_st {
  std::mutex mutex;
  std::shared_ptr<const std::vector<CUgraphNode_st>> nodes;
  const std::shared_ptr<std::mutex> run =
      std::make_shared<std::mutex>();  // one at a time; outlives the object
};

namespace fake {

namespace {

enum Type { kernel_node = 0, copy_node = 1, set_node = 2, host_node = 3 };

CUresult add(CUgraphNode* out_node, CUgraph graph, const CUgraphNode* dependencies,
             std::size_t count, Type type, std::function<CUresult(CUcontext)> run) {
  auto node = std::make_unique<CUgraphNode_st>();
  node->type = type;
  for (std::size_t i = 0; i < count; ++i) node->dependencies.push_back(dependencies[i]->index);
  node->run = std::move(run);
  node->index = graph->nodes.size();
  *out_node = node.get();
  graph->nodes.push_back(std::move(node));
  return CUDA_SUCCESS;
}

std::shared_ptr<const std::vector<CUgraphNode_st>> copy_of(CUgraph graph) {
  auto nodes = std::make_shared<std::vector<CUgraphNode_st>>();
  for (const auto& node : graph->nodes) nodes->push_back(*node);
  return nodes;
}

// An update changes no attribute.
bool stands_alike(const CUgraphNode_st& a, const CUgraphNode_st& b) {
  return a.launch == nullptr || b.launch == nullptr ||
         std::equal(a.launch->together, a.launch->together + 3, b.launch->together);
}

void copy_rows(const CUDA_MEMCPY3D& desc) {
  for (std::size_t row = 0; row < desc.Height; ++row)
    std::memmove(reinterpret_cast<void*>(desc.dstDevice + row * desc.dstPitch),
                 reinterpret_cast<const void*>(desc.srcDevice + row * desc.srcPitch),
                 desc.WidthInBytes);
}

void set_rows(const CUDA_MEMSET_NODE_PARAMS& desc) {
  for (std::size_t row = 0; row < desc.height; ++row) {
    auto* out = reinterpret_cast<unsigned char*>(desc.dst + row * desc.pitch);
    for (std::size_t i = 0; i < desc.width; ++i)
      std::memcpy(out + i * desc.elementSize, &desc.value, desc.elementSize);
  }
}

}  // namespace
}  // namespace fake
}  // namespace flagos::nvidia

using namespace flagos::nvidia;

FAKE_EXPORT CUresult cuGraphCreate(CUgraph* graph, unsigned) try {
  FAKE_CALL(cuGraphCreate);
  *graph = new CUgraph_st;
  fake::enter(*graph);
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphDestroy(CUgraph graph) try {
  fake::leave(graph, __func__);
  fake::count_object(-1);
  delete graph;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphAddKernelNode_v2(CUgraphNode* node, CUgraph graph,
                                             const CUgraphNode* dependencies, std::size_t count,
                                             const CUDA_KERNEL_NODE_PARAMS* desc) try {
  FAKE_LIVE(graph);
  FAKE_CONTEXT_CALL(cuGraphAddKernelNode_v2);
  std::shared_ptr<fake::Launch> launch;
  if (const CUresult wrong =
          fake::make_launch(desc->func, {desc->gridDimX, desc->gridDimY, desc->gridDimZ},
                            {desc->blockDimX, desc->blockDimY, desc->blockDimZ},
                            desc->sharedMemBytes, desc->kernelParams, desc->extra, &launch);
      wrong != CUDA_SUCCESS)
    return wrong;
  const CUresult result =
      fake::add(node, graph, dependencies, count, fake::kernel_node,
                [launch](CUcontext where) { return fake::run(where, fake::make_grid(launch)); });
  (*node)->function = desc->func;
  (*node)->launch = launch;
  return result;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphKernelNodeSetAttribute(CUgraphNode node, int attribute,
                                                   const CUlaunchAttributeValue* value) try {
  FAKE_CALL(cuGraphKernelNodeSetAttribute);
  if (node->launch == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return fake::apply(attribute, *value, node->function, *node->launch);
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphAddMemcpyNode(CUgraphNode* node, CUgraph graph,
                                          const CUgraphNode* dependencies, std::size_t count,
                                          const CUDA_MEMCPY3D* desc, CUcontext) try {
  FAKE_LIVE(graph);
  FAKE_CONTEXT_CALL(cuGraphAddMemcpyNode);
  if (desc->Depth != 1 || desc->Height == 0 || desc->WidthInBytes == 0 ||
      desc->srcMemoryType != CU_MEMORYTYPE_UNIFIED || desc->dstMemoryType != CU_MEMORYTYPE_UNIFIED)
    return CUDA_ERROR_INVALID_VALUE;
  return fake::add(node, graph, dependencies, count, fake::copy_node, [made = *desc](CUcontext) {
    fake::copy_rows(made);
    return CUDA_SUCCESS;
  });
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphAddMemsetNode(CUgraphNode* node, CUgraph graph,
                                          const CUgraphNode* dependencies, std::size_t count,
                                          const CUDA_MEMSET_NODE_PARAMS* desc, CUcontext) try {
  FAKE_LIVE(graph);
  FAKE_CONTEXT_CALL(cuGraphAddMemsetNode);
  const unsigned element = desc->elementSize;
  if ((element != 1 && element != 2 && element != 4) || desc->dst % element != 0)
    return CUDA_ERROR_INVALID_VALUE;
  return fake::add(node, graph, dependencies, count, fake::set_node, [made = *desc](CUcontext) {
    fake::set_rows(made);
    return CUDA_SUCCESS;
  });
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphAddHostNode(CUgraphNode* node, CUgraph graph,
                                        const CUgraphNode* dependencies, std::size_t count,
                                        const CUDA_HOST_NODE_PARAMS* desc) try {
  FAKE_LIVE(graph);
  FAKE_CALL(cuGraphAddHostNode);
  return fake::add(node, graph, dependencies, count, fake::host_node, [made = *desc](CUcontext) {
    made.fn(made.userData);
    return CUDA_SUCCESS;
  });
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph,
                                                 unsigned long long) try {
  FAKE_LIVE(graph);
  FAKE_CONTEXT_CALL(cuGraphInstantiateWithFlags);
  auto made = std::make_unique<CUgraphExec_st>();
  made->nodes = fake::copy_of(graph);
  fake::count_object(1);
  *exec = made.release();
  fake::enter(*exec);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec) try {
  fake::leave(exec, __func__);
  fake::count_object(-1);
  delete exec;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph,
                                          CUgraphExecUpdateResultInfo* info) try {
  FAKE_LIVE(exec);
  FAKE_LIVE(graph);
  FAKE_CONTEXT_CALL(cuGraphExecUpdate_v2);
  auto nodes = fake::copy_of(graph);
  const std::lock_guard lock(exec->mutex);
  const bool same =
      nodes->size() == exec->nodes->size() &&
      std::equal(
          nodes->begin(), nodes->end(), exec->nodes->begin(), [](const auto& a, const auto& b) {
            return a.type == b.type && a.dependencies == b.dependencies && fake::stands_alike(a, b);
          });
  info->result = same ? 0 : 2;
  if (!same) return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
  exec->nodes = std::move(nodes);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) try {
  FAKE_LIVE(exec);
  FAKE_LIVE(stream);
  FAKE_CONTEXT_CALL(cuGraphLaunch);
  if (stream == nullptr || stream->context != context) return CUDA_ERROR_INVALID_HANDLE;
  const std::lock_guard exec_lock(exec->mutex);
  fake::enqueue(stream, {[context, run = exec->run, nodes = exec->nodes]() -> CUresult {
                  const std::lock_guard lock(*run);
                  for (const CUgraphNode_st& node : *nodes)
                    if (const CUresult result = node.run(context); result != CUDA_SUCCESS)
                      return result;
                  return CUDA_SUCCESS;
                }});
  return CUDA_SUCCESS;
}
FAKE_CATCH
