// One scenario, again and again, in which the driver's 1st, 2nd, 3rd ... call fails, until it passes
// untouched.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/dynamic_library.hpp"
#include "plugins/vulkan/driver.hpp"
#include "plugins/vulkan/fake_driver.hpp"
#include "plugins/vulkan/test_plugin.hpp"

namespace flagos::vulkan::test {
namespace {

constexpr std::uint64_t patience_ns = 60'000'000'000u;
constexpr std::size_t word_count = 1000;

struct Fake {
  DynamicLibrary library{FLAGOS_VULKAN_TEST_FAKE};
  template <typename Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(library.symbol(name));
  }
  decltype(&flagos_vulkan_fake_control) control =
      function<decltype(flagos_vulkan_fake_control)>("flagos_vulkan_fake_control");
  decltype(&flagos_vulkan_fake_failed) failed =
      function<decltype(flagos_vulkan_fake_failed)>("flagos_vulkan_fake_failed");
  decltype(&flagos_vulkan_fake_live) live =
      function<decltype(flagos_vulkan_fake_live)>("flagos_vulkan_fake_live");
  decltype(&flagos_vulkan_fake_most) most =
      function<decltype(flagos_vulkan_fake_most)>("flagos_vulkan_fake_most");
};

template <typename Desc>
Desc desc_of() {
  Desc desc{};
  desc.struct_size = sizeof(desc);
  return desc;
}

Config config_of(bool staging) {
  static const std::string cache =
      (std::filesystem::temp_directory_path() / ("flagos-sweep-" + std::to_string(getpid())))
          .string();
  std::filesystem::remove_all(cache);
  return {{"FLAGOS_VULKAN_DRIVER", FLAGOS_VULKAN_TEST_FAKE},
          {"FLAGOS_VULKAN_CACHE", cache},
          {"FLAGOS_VULKAN_STAGING", staging ? "1" : "0"}};
}

// Steps until one fails; the destructor undoes what was made, in core's order.
class Scenario {
 public:
  // With staging there is a profiler too.
  explicit Scenario(bool staging) : is_profiled_(staging) {
    host.config = config_of(staging);
    api_.struct_size = sizeof(api_);
    step([&] { return flagos_plugin_open(&host.table(), &api_); });
  }
  ~Scenario() { close(); }
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  // The status of the step that failed; OK when all passed.
  flagos_status_t run() {
    std::uint32_t count = 0;
    step([&] { return api_.device->get_count(api_.instance, &count); });
    if (status_ == FLAGOS_STATUS_OK && count == 0) status_ = FLAGOS_STATUS_NOT_FOUND;
    step([&] { return api_.device->open(api_.instance, 0, &device_); });
    if (is_profiled_) step([&] { return api_.profiling->enable(device_, 1); });
    make_objects();
    load_modules();
    queue_work();
    finish_work();
    return status_;
  }
  bool has_right_result() const {
    for (std::uint32_t i = 0; i < word_count; ++i)
      if (back_[i] != i + 7) return false;
    for (std::uint32_t i = 0; i < 80; ++i)
      if (large_back_[i] != i * 3) return false;
    return registered_back_[0] == 7 && elapsed_ns_ >= 0;
  }
  // A lost device says so from then on, and only that.
  void check_loss() {
    if (device_ == nullptr) return;
    CHECK(api_.device->query_status(device_) == FLAGOS_STATUS_DEVICE_LOST);
    CHECK(host.losses() == 1);
    auto desc = desc_of<flagos_stream_desc_t>();
    flagos_plugin_stream_t* stream = nullptr;
    CHECK(api_.stream->create(device_, &desc, &stream) == FLAGOS_STATUS_DEVICE_LOST);
    CHECK(stream == nullptr);
    if (stream_ == nullptr) return;
    CHECK(api_.stream->synchronize(stream_, patience_ns) == FLAGOS_STATUS_DEVICE_LOST);
    CHECK(api_.stream->reset(stream_) == FLAGOS_STATUS_DEVICE_LOST);
  }
  void close() {
    if (api_.instance == nullptr) return;
    // What core waits for first; it may fail, but must come back.
    if (stream_ != nullptr) {
      CHECK(api_.stream->synchronize(stream_, patience_ns) != FLAGOS_STATUS_TIMEOUT);
      api_.stream->destroy(stream_);
    }
    for (flagos_plugin_event_t* event : events_)
      if (event != nullptr) api_.event->destroy(event);
    if (timeline_ != nullptr) api_.timeline->destroy(timeline_);
    if (is_registered_) api_.memory->host_unregister(device_, registered_.data());
    for (const flagos_address_t address : memory_)
      if (address != 0) api_.memory->free(device_, address);
    for (flagos_plugin_module_t* module : modules_)
      if (module != nullptr) api_.module->unload(module);
    if (device_ != nullptr) api_.device->close(device_);
    api_.close(api_.instance);
    api_.instance = nullptr;
  }

  TestHost host;

 private:
  const bool is_profiled_;

  template <typename Action>
  void step(const Action& action) {
    if (status_ == FLAGOS_STATUS_OK) status_ = action();
  }
  void alloc(int index, flagos_memory_kind_t kind, std::uint64_t size_bytes,
             std::uint32_t flags = FLAGOS_MEMORY_FLAG_ZERO) {
    auto desc = desc_of<flagos_memory_desc_t>();
    desc.kind = kind;
    desc.size_bytes = size_bytes;
    desc.alignment_bytes = 256;
    desc.flags = flags;
    step([&] { return api_.memory->alloc(device_, &desc, &memory_[index]); });
  }
  void make_objects() {
    auto stream = desc_of<flagos_stream_desc_t>();
    auto event = desc_of<flagos_event_desc_t>();
    alloc(0, FLAGOS_MEMORY_KIND_DEVICE, word_count * 4);
    alloc(1, FLAGOS_MEMORY_KIND_DEVICE, 8 << 20);  // not carved out of a larger block
    alloc(2, FLAGOS_MEMORY_KIND_PINNED, 320);
    step([&] { return api_.stream->create(device_, &stream, &stream_); });
    for (int i = 0; i < 2; ++i)
      step([&] { return api_.event->create(device_, &event, &events_[i]); });
    step([&] { return api_.timeline->create(device_, 0, &timeline_); });
  }
  void load_modules() {
    const std::vector<std::byte> binary = test_spirv();
    const std::vector<std::byte> source = test_glsl();
    const flagos_module_desc_t images[2] = {module_desc("spirv", binary),
                                            module_desc("glsl", source)};
    auto format = desc_of<flagos_format_info_t>();
    const bool has_compiler = status_ == FLAGOS_STATUS_OK &&
                              api_.module->get_format(device_, 1, &format) == FLAGOS_STATUS_OK;
    for (int i = 0; i < (has_compiler ? 2 : 1); ++i)
      step([&] { return api_.module->load(device_, &images[i], &modules_[i]); });
  }
  void launch(int module, const char* name, const void* arguments, std::size_t size_bytes,
              std::uint32_t grid) {
    flagos_plugin_kernel_t* kernel = nullptr;
    auto desc = desc_of<flagos_kernel_desc_t>();
    desc.name = name;
    auto launch = desc_of<flagos_launch_desc_t>();
    launch.grid[0] = grid;
    launch.block[0] = 64;
    launch.grid[1] = launch.grid[2] = launch.block[1] = launch.block[2] = 1;
    launch.argument_block = arguments;
    launch.argument_bytes = size_bytes;
    if (modules_[module] == nullptr) module = 0;
    step([&] { return api_.module->get_kernel(modules_[module], &desc, &kernel); });
    step([&] { return api_.kernel->launch(stream_, kernel, &launch); });
  }
  void copy(flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes) {
    step([&] { return api_.memory->copy(stream_, target, source, size_bytes); });
  }
  void queue_work() {
    const std::uint8_t pattern = 5;
    for (std::uint32_t i = 0; i < word_count; ++i) sent_[i] = i;
    step([&] { return api_.event->record(events_[0], stream_); });
    copy(memory_[0], address_of(sent_.data()), word_count * 4);
    struct {
      std::uint64_t target;
      std::uint32_t count, more;
    } add{memory_[0], word_count, 7};
    launch(0, "test_add", &add, sizeof(add), (word_count + 63) / 64);
    struct {
      std::uint64_t target;
      std::uint64_t words[80];
    } large{memory_[2], {}};
    for (std::uint64_t i = 0; i < 80; ++i) large.words[i] = i * 3;
    launch(1, "test_large", &large, sizeof(large), 2);
    const std::int32_t no_failure = 0;
    launch(1, "test_fail", &no_failure, sizeof(no_failure), 1);
    step([&] { return api_.memory->fill(stream_, memory_[1] + 1, &pattern, 1, 1001); });
    copy(memory_[1] + 4096, memory_[0], word_count * 4);
    copy(memory_[1] + 4100, memory_[1] + 4096, word_count * 4);  // overlaps
    step([&] { return api_.event->record(events_[1], stream_); });
    step([&] { return api_.timeline->stream_signal(stream_, timeline_, 3); });
  }
  void finish_work() {
    const std::uint64_t wanted = 3;
    step([&] {
      return api_.timeline->wait(1, &timeline_, &wanted, FLAGOS_WAIT_MODE_ALL, patience_ns,
                                 nullptr);
    });
    step([&] { return api_.event->synchronize(events_[1], patience_ns); });
    step([&] { return api_.event->get_elapsed(events_[0], events_[1], &elapsed_ns_); });
    copy(address_of(back_.data()), memory_[1] + 4100, word_count * 4);
    copy(address_of(large_back_.data()), memory_[2], 320);
    step([&] {
      flagos_address_t address = 0;
      const flagos_status_t status = api_.memory->host_register(
          device_, registered_.data(), registered_.size() * 4, 0, &address);
      is_registered_ = status == FLAGOS_STATUS_OK;
      return status;
    });
    copy(address_of(registered_.data()), memory_[1] + 4100, 64);
    share();
    step([&] { return api_.stream->synchronize(stream_, patience_ns); });
    registered_back_ = registered_;
  }

  // The last event by its semaphore, and memory by a descriptor.
  void share() {
    auto native = desc_of<flagos_native_t>();
    step([&] { return api_.interop->get_native_event(events_[1], &native); });
    step([&] { return api_.interop->wrap_native_event(device_, &native, 0, &events_[2]); });
    step([&] { return api_.event->synchronize(events_[2], patience_ns); });
    if (api_.interop == nullptr || api_.interop->export_memory == nullptr) return;
    flagos_plugin_external_t external{};
    external.fd = -1;
    alloc(3, FLAGOS_MEMORY_KIND_DEVICE, 4096, FLAGOS_MEMORY_FLAG_EXPORTABLE);
    step([&] { return api_.interop->export_memory(device_, memory_[3], &external); });
    external.size_bytes = 4096;
    step([&] { return api_.interop->import_memory(device_, &external, &memory_[4]); });
    if (external.fd >= 0) ::close(external.fd);
  }

  flagos_plugin_t api_{};
  flagos_status_t status_ = FLAGOS_STATUS_OK;
  flagos_plugin_device_t* device_ = nullptr;
  flagos_plugin_stream_t* stream_ = nullptr;
  flagos_plugin_event_t* events_[3] = {};  // the last one is wrapped
  flagos_plugin_timeline_t* timeline_ = nullptr;
  flagos_plugin_module_t* modules_[2] = {};
  flagos_address_t memory_[5] = {};
  bool is_registered_ = false;
  std::int64_t elapsed_ns_ = -1;
  std::vector<std::uint32_t> sent_ = std::vector<std::uint32_t>(word_count);
  std::vector<std::uint32_t> back_ = std::vector<std::uint32_t>(word_count);
  std::vector<std::uint32_t> large_back_ = std::vector<std::uint32_t>(80);
  std::vector<std::uint32_t> registered_ = std::vector<std::uint32_t>(4096);
  std::vector<std::uint32_t> registered_back_;
};

const Fake& fake() {
  static const Fake& library = *new Fake;
  return library;
}

// Nothing fails: as it must be before, between and behind the faults.
void run_untouched(bool staging) {
  fake().control(0, VK_SUCCESS);
  {
    Scenario scenario(staging);
    const flagos_status_t status = scenario.run();
    if (status == FLAGOS_STATUS_NOT_FOUND) {
      std::printf("skipped: %s", scenario.host.log().c_str());
      std::fflush(stdout);
      std::_Exit(77);
    }
    CAPTURE(scenario.host.last_error());
    REQUIRE(status == FLAGOS_STATUS_OK);
    REQUIRE(scenario.has_right_result());
  }
  REQUIRE(fake().live("") == 0);
}

// Whether a call was made to fail at all.
bool run_with_fault(std::uint64_t n, VkResult code, bool staging) {
  fake().control(n, code);
  std::string function;
  {
    Scenario scenario(staging);
    const flagos_status_t status = scenario.run();
    function = fake().failed();
    const std::string text = scenario.host.last_error();
    CAPTURE(n);
    CAPTURE(function);
    CAPTURE(text);
    CHECK(status != FLAGOS_STATUS_TIMEOUT);
    if (status == FLAGOS_STATUS_OK) {
      // It was asked again, or its failure changes nothing.
      CHECK(scenario.has_right_result());
    } else {
      CHECK(FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER);
      // Of a lost device several calls tell, and one of them is the first that is looked at.
      const bool is_named = text.find(function) != std::string::npos ||
                            (code == VK_ERROR_DEVICE_LOST && text.starts_with("vk"));
      CHECK(is_named);
    }
    if (status == FLAGOS_STATUS_DEVICE_LOST) scenario.check_loss();
    if (status != FLAGOS_STATUS_OK && text.find("has no function") == std::string::npos)
      CHECK(text.find(result_name(code)) != std::string::npos);
  }
  CAPTURE(n);
  CAPTURE(function);
  CHECK(fake().live("") == 0);
  // Also when the fault came only while the device was closed.
  return *fake().failed() != '\0';
}

void sweep(VkResult code, bool staging) {
  run_untouched(staging);
  const std::uint64_t most = 5000;
  std::uint64_t n = 1;
  for (; run_with_fault(n, code, staging); ++n) {
    REQUIRE(n < most);
    if (n % 50 == 0) run_untouched(staging);
  }
  MESSAGE("calls that failed once with ", std::string(result_name(code)), ": ", n - 1);
  CHECK(n > 1);
  run_untouched(staging);
}

TEST_CASE("fault sweep: the host has no memory") { sweep(VK_ERROR_OUT_OF_HOST_MEMORY, false); }
TEST_CASE("fault sweep: the device has no memory, with staging") {
  sweep(VK_ERROR_OUT_OF_DEVICE_MEMORY, true);
}
TEST_CASE("fault sweep: the device is lost") { sweep(VK_ERROR_DEVICE_LOST, false); }
TEST_CASE("fault sweep: the device is lost, with staging") { sweep(VK_ERROR_DEVICE_LOST, true); }

TEST_CASE("fault sweep: what failed once inside the plugin works the next time") {
  TestDevice device(Config{{"FLAGOS_VULKAN_DRIVER", FLAGOS_VULKAN_TEST_FAKE}});
  int failures = 0;
  std::string failed = "one";
  for (std::uint64_t n = 1; !failed.empty(); ++n) {
    fake().control(n, VK_ERROR_OUT_OF_HOST_MEMORY);
    const flagos_status_t status = device.api.profiling->enable(device.get(), 1);
    failed = fake().failed();
    CAPTURE(n);
    CAPTURE(failed);
    failures += status != FLAGOS_STATUS_OK;
    fake().control(0, VK_SUCCESS);
    CHECK(device.api.profiling->enable(device.get(), 1) == FLAGOS_STATUS_OK);
  }
  CHECK(failures > 0);
}

TEST_CASE("fake: devices of it say that they are") {
  TestInstance plugin(Config{{"FLAGOS_VULKAN_DRIVER", FLAGOS_VULKAN_TEST_FAKE}});
  REQUIRE(plugin.count() > 0);
  auto info = desc_of<flagos_device_info_t>();
  REQUIRE(plugin.api.device->get_info(plugin.api.instance, 0, &info) == FLAGOS_STATUS_OK);
  CHECK((info.capabilities & FLAGOS_DEVICE_CAPABILITY_FAKE) != 0);
}

TEST_CASE("fake: a burst of launches and records has few command buffers") {
  TestDevice device(Config{{"FLAGOS_VULKAN_DRIVER", FLAGOS_VULKAN_TEST_FAKE}});
  flagos_plugin_stream_t* const stream = device.stream();
  flagos_plugin_event_t* const event = device.event();
  const struct {
    std::uint64_t target;
    std::uint32_t count, more;
  } slow{device.alloc(16 << 20), 4 << 20, 1}, fast{slow.target, 1, 1};
  fake().control(0, VK_SUCCESS);
  const std::int64_t before = fake().live("CommandPool");
  REQUIRE(device.launch(stream, "test_add", slow, slow.count / 64, 64) == FLAGOS_STATUS_OK);
  for (int i = 0; i < 2000; ++i) {
    REQUIRE(device.launch(stream, "test_add", fast, 1, 1) == FLAGOS_STATUS_OK);
    REQUIRE(device.api.event->record(event, stream) == FLAGOS_STATUS_OK);
  }
  REQUIRE(device.wait(stream) == FLAGOS_STATUS_OK);
  CHECK(fake().most("CommandPool") - before <= 40);
  std::uint32_t first = 0;
  REQUIRE(device.copy(stream, address_of(&first), slow.target, 4) == FLAGOS_STATUS_OK);
  REQUIRE(device.wait(stream) == FLAGOS_STATUS_OK);
}

}  // namespace
}  // namespace flagos::vulkan::test
