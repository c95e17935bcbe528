// What the cases on graphs share: owners, and nodes in one line.
#pragma once

#include <vector>

#include "conformance/cases/dag.hpp"

namespace flagos::conformance {

using Nodes = std::vector<flagos_graph_node_t>;

class Graph {
 public:
  explicit Graph(Context& t);                                          // empty
  Graph(Context& t, flagos_graph_t* graph) : t_(&t), graph_(graph) {}  // takes it
  ~Graph() { flagos_graph_destroy(graph_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  operator flagos_graph_t*() const { return graph_; }
  void destroy();

  // `payload` as the type says; checks OK.
  flagos_graph_node_t add(flagos_graph_node_type_t type, const void* payload,
                          const Nodes& dependencies = {});
  flagos_graph_node_t empty(const Nodes& dependencies = {});
  flagos_graph_node_t kernel(flagos_kernel_t* kernel, Shape shape,
                             const std::vector<flagos_argument_t>& arguments,
                             const Nodes& dependencies = {});
  flagos_graph_node_t affine(const Words& words, std::uint32_t multiply, std::uint32_t add,
                             const Nodes& dependencies = {});
  flagos_graph_node_t mix(const Words& target, const Words& source, std::uint32_t multiply,
                          const Nodes& dependencies = {});
  flagos_graph_node_t copy(flagos_address_t target, flagos_address_t source, std::uint64_t size,
                           const Nodes& dependencies = {});
  flagos_graph_node_t fill(flagos_address_t target, std::uint32_t value, std::uint64_t size,
                           const Nodes& dependencies = {});
  flagos_graph_node_t host(flagos_host_function_t function, void* data,
                           const Nodes& dependencies = {});
  flagos_graph_node_t event(bool record, flagos_event_t* event, const Nodes& dependencies = {});
  flagos_graph_node_t child(flagos_graph_t* graph, const Nodes& dependencies = {});
  flagos_graph_node_t operation(const Operation& operation, const Memory& memory,
                                const Nodes& dependencies = {});

  // The status of an add that may be refused; checks that the out parameter is cleared then.
  flagos_status_t try_add(const flagos_graph_node_desc_t& desc,
                          flagos_graph_node_t* out_node = nullptr);
  flagos_graph_info_t info();

 private:
  Context* t_;
  flagos_graph_t* graph_ = nullptr;
};

flagos_graph_node_desc_t node_desc(flagos_graph_node_type_t type, const void* payload,
                                   const Nodes& dependencies = {});

// The payload of a kernel node with all that it points to.
struct KernelPayload {
  KernelPayload(flagos_kernel_t* kernel, Shape shape, std::vector<flagos_argument_t> arguments);
  KernelPayload(const KernelPayload&) = delete;
  KernelPayload& operator=(const KernelPayload&) = delete;
  std::vector<flagos_argument_t> arguments;
  flagos_launch_desc_t launch;
  flagos_kernel_node_desc_t node;
};
std::vector<flagos_argument_t> affine_arguments(const Words& words, std::uint32_t multiply,
                                                std::uint32_t add);
flagos_copy_node_desc_t copy_payload(flagos_address_t target, flagos_address_t source,
                                     std::uint64_t size);
flagos_fill_node_desc_t fill_payload(flagos_address_t target, std::uint32_t value,
                                     std::uint64_t size);

class Executable {
 public:
  Executable(Context& t, flagos_graph_t* graph);  // instantiates
  ~Executable() { flagos_graph_exec_destroy(exec_); }
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;
  operator flagos_graph_exec_t*() const { return exec_; }
  void launch(flagos_stream_t* stream);
  void destroy();

 private:
  Context& t_;
  flagos_graph_exec_t* exec_ = nullptr;
};

// Instantiates, launches once on a stream of its own and waits.
void run_once(Context& t, flagos_graph_t* graph);

void begin_capture(Context& t, flagos_stream_t* stream);
flagos_graph_t* end_capture(Context& t, flagos_stream_t* stream);  // the caller's

}  // namespace flagos::conformance
