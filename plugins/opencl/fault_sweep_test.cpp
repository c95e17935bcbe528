// One scenario, again and again, in which the driver's 1st, 2nd, 3rd ... call fails, until it passes untouched.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/dynamic_library.hpp"
#include "base/native_object.hpp"
#include "plugins/opencl/driver.hpp"
#include "plugins/opencl/test_plugin.hpp"

namespace flagos::opencl::test {
namespace {

constexpr std::uint64_t patience_ns = 60'000'000'000u;
constexpr const char* source = R"(
__kernel void add(__global uint* data, uint value) { data[get_global_id(0)] += value; }
__kernel void may_fail(__global uint* data, __global int* flagos_failure) { data[1] = 9; }
)";

struct Fake {
  DynamicLibrary library{FLAGOS_OPENCL_TEST_FAKE};
  std::uint64_t (*control)(std::uint64_t, cl_int) =
      reinterpret_cast<decltype(control)>(library.symbol("flagos_opencl_fake_control"));
  std::int64_t (*live)() =
      reinterpret_cast<decltype(live)>(library.symbol("flagos_opencl_fake_live"));
  const char* (*failed)() =
      reinterpret_cast<decltype(failed)>(library.symbol("flagos_opencl_fake_failed"));
};

template <typename Desc>
Desc desc_of() {
  Desc desc{};
  desc.struct_size = sizeof(desc);
  return desc;
}

// The driver's own threads may still be letting go of the last event.
std::int64_t settled(const Fake& fake, std::int64_t expected = 0) {
  for (int i = 0; i < 2000 && fake.live() != expected; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return fake.live();
}

// Steps until one fails; whatever was made is undone by the destructor, in the order that core has.
class Scenario {
 public:
  Scenario() : instance_(Config{{"FLAGOS_OPENCL_DRIVER", FLAGOS_OPENCL_TEST_FAKE}}) {}
  ~Scenario() {
    if (lent_stream_ != nullptr) {
      instance_.api.stream->synchronize(lent_stream_, patience_ns);
      instance_.api.stream->destroy(lent_stream_);
    }
    if (lent_event_ != nullptr) instance_.api.event->destroy(lent_event_);
    if (lent_memory_ != 0) instance_.api.memory->free(lent_device_, lent_memory_);
    if (lent_device_ != nullptr) instance_.api.device->close(lent_device_);
    if (buffer_ != nullptr) Driver::open("libOpenCL.so.1").clReleaseMemObject(buffer_);
    if (stream_ != nullptr) {
      instance_.api.stream->synchronize(stream_, patience_ns);
      instance_.api.stream->destroy(stream_);
    }
    if (second_ != nullptr) {
      instance_.api.stream->synchronize(second_, patience_ns);
      instance_.api.stream->destroy(second_);
    }
    if (event_ != nullptr) instance_.api.event->destroy(event_);
    if (data_ != 0) instance_.api.memory->free(device_, data_);
    if (module_ != nullptr) instance_.api.module->unload(module_);
    if (device_ != nullptr) instance_.api.device->close(device_);
  }
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  // The status of the step that failed; OK when all passed.
  flagos_status_t run() {
    status_ = instance_.opened;
    if (status_ == FLAGOS_STATUS_OK && instance_.count() == 0) return FLAGOS_STATUS_NOT_FOUND;
    const flagos_plugin_t& api = instance_.api;
    auto stream = desc_of<flagos_stream_desc_t>();
    auto event = desc_of<flagos_event_desc_t>();
    auto memory = desc_of<flagos_memory_desc_t>();
    memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
    memory.size_bytes = 64;
    memory.alignment_bytes = 256;
    memory.flags = FLAGOS_MEMORY_FLAG_ZERO;
    const flagos_module_desc_t module =
        module_desc("opencl-c", source, std::char_traits<char>::length(source));
    auto add = desc_of<flagos_kernel_desc_t>();
    flagos_kernel_desc_t may_fail = add;
    add.name = "add";
    may_fail.name = "may_fail";
    flagos_plugin_kernel_t* kernels[2] = {};
    const std::uint32_t pattern = 0x01020304;
    step([&] { return api.device->open(api.instance, 0, &device_); });
    step([&] { return api.memory->alloc(device_, &memory, &data_); });
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
    const flagos_launch_desc_t launches[2] = {launch_desc(&arguments, 16, 2),
                                              launch_desc(&arguments, 8)};
    step([&] { return api.kernel->launch(stream_, kernels[0], &launches[0]); });
    step([&] { return api.kernel->launch(stream_, kernels[1], &launches[1]); });
    // Of two commands each: memory that overlaps, and a wide pattern into host memory.
    step([&] { return api.memory->copy(stream_, data_ + 36, data_ + 32, 24); });
    step([&] { return api.memory->fill(stream_, address_of(filled_.data()), &pattern, 4, 64); });
    step([&] { return api.event->record(event_, stream_); });
    step([&] { return api.stream->wait_event(second_, event_); });
    step([&] { return api.stream->synchronize(second_, patience_ns); });
    step([&] { return api.event->synchronize(event_, patience_ns); });
    step([&] { return api.memory->copy(stream_, address_of(read_.data()), data_, 64); });
    step([&] { return api.stream->synchronize(stream_, patience_ns); });
    use_native_objects();
    return status_;
  }
  bool has_right_result() const {
    std::vector<std::uint32_t> expected = sent_;
    expected[2] += 5;
    expected[3] = 9;
    return read_ == expected && filled_ == std::vector<std::uint32_t>(16, 0x01020304) &&
           lent_read_ == sent_;
  }
  std::string text() { return instance_.host.last_error(); }
  std::string log() { return instance_.host.log(); }

 private:
  // A second device on what the first one shows, with a buffer of the program's.
  void use_native_objects() {
    const flagos_plugin_t& api = instance_.api;
    if (status_ != FLAGOS_STATUS_OK) return;
    const flagos_interop_table_t& interop = *api.interop;
    auto device = desc_of<flagos_native_t>(), stream = device, event = device, memory = device;
    step([&] { return interop.get_native_device(device_, &device); });
    step([&] { return interop.get_native_stream(stream_, &stream); });
    step([&] { return interop.get_native_event(event_, &event); });
    step([&] { return interop.get_native_memory(device_, data_, &memory); });
    if (status_ != FLAGOS_STATUS_OK) return;
    const auto context = handle_at<cl_context>(device, 0);
    buffer_ = Driver::open("libOpenCL.so.1")
                  .clCreateBuffer(context, CL_MEM_READ_WRITE, 64, nullptr, nullptr);
    REQUIRE(buffer_ != nullptr);
    show_native(memory, "cl_mem", {number_of(buffer_), number_of(context), 0});
    step([&] { return interop.wrap_native_device(api.instance, 0, &device, 0, &lent_device_); });
    step([&] { return interop.wrap_native_stream(lent_device_, &stream, 0, &lent_stream_); });
    step([&] { return interop.wrap_native_event(lent_device_, &event, 0, &lent_event_); });
    step([&] { return interop.wrap_native_memory(lent_device_, &memory, 64, 0, &lent_memory_); });
    step([&] { return api.stream->wait_event(lent_stream_, lent_event_); });
    step(
        [&] { return api.memory->copy(lent_stream_, lent_memory_, address_of(sent_.data()), 64); });
    step([&] {
      return api.memory->copy(lent_stream_, address_of(lent_read_.data()), lent_memory_, 64);
    });
    step([&] { return api.stream->synchronize(lent_stream_, patience_ns); });
  }

  template <typename Action>
  void step(const Action& action) {
    if (status_ == FLAGOS_STATUS_OK) status_ = action();
  }

  std::vector<std::uint32_t> sent_ = std::vector<std::uint32_t>(16, 3);
  std::vector<std::uint32_t> read_ = std::vector<std::uint32_t>(16, 0);
  std::vector<std::uint32_t> filled_ = std::vector<std::uint32_t>(16, 0);
  std::vector<std::uint32_t> lent_read_ = std::vector<std::uint32_t>(16, 0);
  TestInstance instance_;
  flagos_status_t status_ = FLAGOS_STATUS_OK;
  flagos_plugin_device_t* device_ = nullptr;
  flagos_plugin_stream_t* stream_ = nullptr;
  flagos_plugin_stream_t* second_ = nullptr;
  flagos_plugin_event_t* event_ = nullptr;
  flagos_plugin_module_t* module_ = nullptr;
  std::uint64_t data_ = 0;
  cl_mem buffer_ = nullptr;
  flagos_plugin_device_t* lent_device_ = nullptr;
  flagos_plugin_stream_t* lent_stream_ = nullptr;
  flagos_plugin_event_t* lent_event_ = nullptr;
  std::uint64_t lent_memory_ = 0;
};

TEST_CASE("fault sweep: every call of the driver fails once") {
  if (!has_device()) return;
  const Fake fake;
  fake.control(0, CL_SUCCESS);
  {
    Scenario untouched;
    REQUIRE(untouched.run() == FLAGOS_STATUS_OK);
    REQUIRE(untouched.has_right_result());
  }
  REQUIRE(settled(fake) == 0);
  const std::uint64_t most = 5000;
  std::uint64_t n = 1;
  for (bool touched = true; touched; ++n) {
    REQUIRE(n < most);
    fake.control(n, n % 2 == 0 ? CL_OUT_OF_HOST_MEMORY : CL_OUT_OF_RESOURCES);
    const std::int64_t before = fake.live();
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
        const bool told = !scenario.text().empty() || !scenario.log().empty();
        CHECK(told);
      }
      touched = !function.empty();
    }
    CAPTURE(n);
    CAPTURE(function);
    CHECK(settled(fake, before) == before);
    fake.control(0, CL_SUCCESS);
  }
  MESSAGE("calls that failed once: " << n - 2);
  Scenario after;
  CHECK(after.run() == FLAGOS_STATUS_OK);
  CHECK(after.has_right_result());
}

TEST_CASE("fault sweep: parts of devices are released, those that a filter leaves out too") {
  if (!has_device()) return;
  const Fake fake;
  fake.control(0, CL_SUCCESS);
  const std::int64_t before = fake.live();
  {
    TestInstance instance(Config{{"FLAGOS_OPENCL_DRIVER", FLAGOS_OPENCL_TEST_FAKE},
                                 {"FLAGOS_OPENCL_SUBDEVICES", "1"},
                                 {"FLAGOS_OPENCL_DEVICES", "0"}});
    CHECK(instance.count() == 1);
  }
  CHECK(fake.live() == before);
}

TEST_CASE("fault sweep: devices of the fake say that they are") {
  if (!has_device()) return;
  TestInstance instance(Config{{"FLAGOS_OPENCL_DRIVER", FLAGOS_OPENCL_TEST_FAKE}});
  REQUIRE(instance.count() > 0);
  CHECK((instance.info(0).capabilities & FLAGOS_DEVICE_CAPABILITY_FAKE) != 0);
}

}  // namespace
}  // namespace flagos::opencl::test
