// One scenario, again and again, in which the driver's 1st, 2nd, 3rd ... call fails, until it passes untouched.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "plugins/nvidia/test_plugin.hpp"

namespace flagos::nvidia::test {
namespace {

constexpr std::uint64_t patience_ns = 60'000'000'000u;

template <typename Desc>
Desc desc_of() {
  Desc desc{};
  desc.struct_size = sizeof(desc);
  return desc;
}

// Steps until one fails; whatever was made is undone by the destructor, in the order that core has.
class Scenario {
 public:
  ~Scenario() {
    const flagos_plugin_t& api = instance_.api;
    for (flagos_plugin_stream_t* stream : {stream_, second_}) {
      if (stream == nullptr) continue;
      api.stream->synchronize(stream, patience_ns);
      api.stream->destroy(stream);
    }
    if (communicator_ != nullptr) api.collective->communicator_destroy(communicator_);
    if (graph_ != nullptr) api.graph->destroy(graph_);
    if (event_ != nullptr) api.event->destroy(event_);
    if (module_ != nullptr) api.module->unload(module_);
    if (data_ != 0) api.memory->free(device_, data_);
    if (exported_ != 0) api.memory->free(device_, exported_);
    for (std::uint64_t i = 0; i < mapped_; ++i)
      api.virtual_memory->unmap(device_, addresses_ + i * unit_, unit_);
    for (flagos_plugin_physical_memory_t* memory : physical_)
      if (memory != nullptr) api.virtual_memory->destroy(memory);
    if (addresses_ != 0) api.virtual_memory->release(device_, addresses_, 2 * unit_);
    if (device_ != nullptr) api.device->close(device_);
  }

  flagos_status_t run() {
    if (instance_.opened != FLAGOS_STATUS_OK) return status_ = instance_.opened;
    if (instance_.count() == 0) return status_ = FLAGOS_STATUS_NOT_FOUND;
    const flagos_plugin_t& api = instance_.api;
    auto memory = desc_of<flagos_memory_desc_t>();
    memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
    memory.size_bytes = 64;
    memory.alignment_bytes = 256;
    memory.flags = FLAGOS_MEMORY_FLAG_ZERO;
    auto exportable = memory;
    exportable.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
    const auto stream = desc_of<flagos_stream_desc_t>();
    const auto event = desc_of<flagos_event_desc_t>();
    const TestModule source = test_kernels();
    const flagos_module_desc_t module =
        module_desc("cuda-c", source.image.data(), source.image.size());
    auto add = desc_of<flagos_kernel_desc_t>();
    auto may_fail = add;
    add.name = "test_add";
    may_fail.name = "test_fail";
    flagos_plugin_kernel_t* kernels[2] = {};
    const std::uint32_t pattern = 0x01020304;
    step([&] { return api.device->open(api.instance, 0, &device_); });
    step([&] { return api.memory->alloc(device_, &memory, &data_); });
    step([&] { return api.memory->alloc(device_, &exportable, &exported_); });
    step([&] { return api.stream->create(device_, &stream, &stream_); });
    step([&] { return api.stream->create(device_, &stream, &second_); });
    step([&] { return api.event->create(device_, &event, &event_); });
    step([&] { return api.module->load(device_, &module, &module_); });
    step([&] { return api.module->get_kernel(module_, &add, &kernels[0]); });
    step([&] { return api.module->get_kernel(module_, &may_fail, &kernels[1]); });
    step([&] { return api.memory->copy(stream_, data_, address_of(sent_.data()), 64); });
    const struct {
      std::uint64_t data;
      std::uint32_t value;
    } arguments{data_ + 8, 5};
    const std::int32_t fine = 0;
    const flagos_launch_desc_t launches[2] = {launch_desc(&arguments, 16, 2),
                                              launch_desc(&fine, 4)};
    step([&] { return api.kernel->launch(stream_, kernels[0], &launches[0]); });
    step([&] { return api.kernel->launch(stream_, kernels[1], &launches[1]); });
    // Of several commands each: memory that overlaps, and a pattern into host memory.
    step([&] { return api.memory->copy(stream_, data_ + 36, data_ + 32, 24); });
    step([&] { return api.memory->fill(stream_, address_of(filled_.data()), &pattern, 4, 64); });
    step([&] { return api.event->record(event_, stream_); });
    step([&] { return api.stream->wait_event(second_, event_); });
    step([&] { return api.stream->synchronize(second_, patience_ns); });
    step([&] { return api.event->synchronize(event_, patience_ns); });
    flagos_plugin_graph_node_t node{};
    node.type = FLAGOS_GRAPH_NODE_TYPE_FILL;
    node.fill_target = exported_;
    node.fill_size_bytes = 64;
    node.fill_pattern_size_bytes = 1;
    step([&] { return api.graph->instantiate(device_, &node, 1, &graph_); });
    step([&] { return api.graph->launch(graph_, second_); });
    step([&] { return api.stream->synchronize(second_, patience_ns); });
    map(api);
    step([&] { return api.memory->fill(second_, addresses_ + unit_ - 32, &pattern, 4, 64); });
    multiply(api);
    reduce(api);
    step([&] { return api.stream->synchronize(second_, patience_ns); });
    step([&] { return api.memory->copy(stream_, address_of(read_.data()), data_, 64); });
    step([&] { return api.stream->synchronize(stream_, patience_ns); });
    return status_;
  }
  bool has_right_result() const {
    std::vector<std::uint32_t> expected = sent_;
    expected[2] += 5;
    expected[3] += 5;
    return read_ == expected && filled_ == std::vector<std::uint32_t>(16, 0x01020304);
  }
  std::string text() { return instance_.host.last_error() + instance_.host.log(); }

 private:
  void map(const flagos_plugin_t& api) {
    const flagos_virtual_memory_table_t& table = *api.virtual_memory;
    auto physical = desc_of<flagos_physical_memory_desc_t>();
    physical.kind = FLAGOS_MEMORY_KIND_DEVICE;
    std::uint64_t recommended = 0;
    step([&] { return table.get_granularity(device_, &physical, &unit_, &recommended); });
    physical.size_bytes = unit_;
    step([&] { return table.reserve(device_, 2 * unit_, unit_, 0, &addresses_); });
    for (flagos_plugin_physical_memory_t*& memory : physical_) {
      step([&] { return table.create(device_, &physical, &memory); });
      step([&] { return table.map(device_, addresses_ + mapped_ * unit_, unit_, memory, 0); });
      if (status_ == FLAGOS_STATUS_OK) ++mapped_;
      physical.kind = FLAGOS_MEMORY_KIND_PINNED;
    }
    step([&] {
      return table.set_access(device_, addresses_, 2 * unit_, device_,
                              FLAGOS_MEMORY_ACCESS_READ_WRITE);
    });
  }
  // A 4x4 matrix by itself, in the memory that was mapped.
  void multiply(const flagos_plugin_t& api) {
    const std::int64_t shape[] = {4, 4}, strides[] = {4, 1};
    flagos_tensor_t tensors[3] = {};
    flagos_operator_argument_t arguments[3] = {};
    for (int i = 0; i < 3; ++i) {
      tensors[i] = {sizeof(flagos_tensor_t),
                    FLAGOS_DTYPE_FLOAT32,
                    addresses_ + (i == 2 ? 1024 : 0),
                    0,
                    2,
                    shape,
                    strides};
      arguments[i] = {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, address_of(&tensors[i])};
    }
    auto call = desc_of<flagos_operator_desc_t>();
    call.arguments = arguments;
    call.argument_count = 3;
    auto support = desc_of<flagos_operator_support_t>();
    step([&] { return api.operators->query(device_, &call, &support); });
    call.workspace = addresses_ + 4096;
    call.workspace_bytes = support.workspace_bytes;
    step([&] { return api.operators->run(second_, &call); });
  }
  // With itself.
  void reduce(const flagos_plugin_t& api) {
    const flagos_collective_table_t& table = *api.collective;
    flagos_collective_id_t id{};
    step([&] { return table.unique_id_create(device_, &id); });
    auto joined = desc_of<flagos_communicator_desc_t>();
    joined.id = &id;
    joined.size = 1;
    joined.timeout_ns = patience_ns;
    step([&] { return table.communicator_create(device_, &joined, &communicator_); });
    auto call = desc_of<flagos_collective_desc_t>();
    call.dtype = FLAGOS_DTYPE_UINT32;
    call.source = call.target = addresses_;
    call.count = 16;
    step([&] { return table.all_reduce(communicator_, second_, &call); });
  }
  template <typename Action>
  void step(const Action& action) {
    if (status_ == FLAGOS_STATUS_OK) status_ = action();
  }

  std::vector<std::uint32_t> sent_ = std::vector<std::uint32_t>(16, 3);
  std::vector<std::uint32_t> read_ = std::vector<std::uint32_t>(16, 0);
  std::vector<std::uint32_t> filled_ = std::vector<std::uint32_t>(16, 0);
  TestInstance instance_{Config{{"FLAGOS_NVIDIA_DRIVER", FLAGOS_NVIDIA_TEST_FAKE}}};
  flagos_status_t status_ = FLAGOS_STATUS_OK;
  flagos_plugin_device_t* device_ = nullptr;
  flagos_plugin_stream_t* stream_ = nullptr;
  flagos_plugin_stream_t* second_ = nullptr;
  flagos_plugin_event_t* event_ = nullptr;
  flagos_plugin_module_t* module_ = nullptr;
  flagos_plugin_graph_t* graph_ = nullptr;
  std::uint64_t data_ = 0;
  std::uint64_t exported_ = 0;
  flagos_plugin_physical_memory_t* physical_[2] = {};  // of the device, and pinned
  std::uint64_t mapped_ = 0;
  flagos_plugin_communicator_t* communicator_ = nullptr;
  std::uint64_t addresses_ = 0;
  std::uint64_t unit_ = 0;
};

TEST_CASE("fault sweep: every call of the driver fails once") {
  const Fake fake;
  fake.control(0, CUDA_SUCCESS);
  const std::int64_t before = fake.live();
  {
    Scenario untouched;
    REQUIRE(untouched.run() == FLAGOS_STATUS_OK);
    REQUIRE(untouched.has_right_result());
  }
  REQUIRE(fake.live() == before);
  constexpr std::uint64_t most = 2000;
  std::uint64_t n = 2;  // each call twice, for two reasons
  for (bool touched = true; touched; ++n) {
    REQUIRE(n < 2 * most);
    fake.control(n / 2, n % 2 == 0 ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_OPERATING_SYSTEM);
    std::string function;
    {
      Scenario scenario;
      const flagos_status_t status = scenario.run();
      function = fake.failed();
      CAPTURE(n);
      CAPTURE(function);
      CAPTURE(scenario.text());
      CHECK(status != FLAGOS_STATUS_TIMEOUT);
      if (status == FLAGOS_STATUS_OK) {
        // A question that has another answer, or a call whose failure changes nothing.
        CHECK(scenario.has_right_result());
      } else {
        CHECK(FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER);
        CHECK(!scenario.text().empty());
      }
      touched = !function.empty();
    }
    CAPTURE(n);
    CAPTURE(function);
    CHECK(fake.live() == before);
    fake.control(0, CUDA_SUCCESS);
  }
  MESSAGE("calls that failed: " << n / 2 - 1);
  Scenario after;
  CHECK(after.run() == FLAGOS_STATUS_OK);
  CHECK(after.has_right_result());
}

}  // namespace
}  // namespace flagos::nvidia::test
