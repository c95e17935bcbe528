// The direct path: work that is submitted through the plugin's own tables, which core does not see.
#include <flagos.h>
#include <flagos_plugin.h>

#include <atomic>
#include <cstring>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/cases/data.hpp"
#include "conformance/holding_grid.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

constexpr std::uint32_t go_on = 1;
constexpr std::uint64_t a_moment_ns = 20'000'000;

// A stream that only the plugin knows, held by a kernel that waits for a flag.
class DirectStream {
 public:
  explicit DirectStream(Context& t) : t_(t), flag_(t, 64, FLAGOS_MEMORY_KIND_PINNED) {
    std::memset(flag_.pointer(), 0, 64);
    t.ok(flagos_device_get_table(t.device(), &plugin_, &device_), "the plugin's tables");
    const flagos_stream_desc_t desc{sizeof desc, 0, nullptr, 0};
    t.ok(plugin_->stream->create(device_, &desc, &stream_), "a stream of the plugin's");
  }
  ~DirectStream() {
    release();
    plugin_->stream->synchronize(stream_, kPatienceNs);
    plugin_->stream->destroy(stream_);
  }
  DirectStream(const DirectStream&) = delete;
  DirectStream& operator=(const DirectStream&) = delete;

  void hold() {
    flagos_kernel_t* const kernel = t_.kernel("spin_until");
    flagos_plugin_kernel_t* object = nullptr;
    t_.ok(flagos_kernel_get_plugin_object(kernel, &object), "the plugin's kernel");
    flagos_kernel_info_t info{};
    info.struct_size = sizeof info;
    t_.ok(flagos_kernel_get_info(kernel, &info), "describe the kernel");
    std::vector<std::uint8_t> block(std::max<std::size_t>(info.argument_bytes, 12));
    const flagos_address_t address = flag_.address();
    std::memcpy(block.data(), &address, 8);
    std::memcpy(block.data() + 8, &go_on, 4);
    const Dim3 grid = holding_grid(t_);
    flagos_launch_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.grid[0] = grid.x;
    desc.grid[1] = grid.y;
    desc.grid[2] = grid.z;
    desc.block[0] = desc.block[1] = desc.block[2] = 1;
    desc.argument_block = block.data();
    desc.argument_bytes = info.argument_bytes != 0 ? info.argument_bytes : 12;
    t_.ok(plugin_->kernel->launch(stream_, object, &desc), "launch through the plugin's table");
  }
  void release() {
    std::atomic_ref<std::uint32_t>(*static_cast<std::uint32_t*>(flag_.pointer()))
        .store(go_on, std::memory_order_release);
  }
  flagos_status_t synchronize(std::uint64_t timeout_ns) {
    return plugin_->stream->synchronize(stream_, timeout_ns);
  }

 private:
  Context& t_;
  Buffer flag_;
  const flagos_plugin_t* plugin_ = nullptr;
  flagos_plugin_device_t* device_ = nullptr;
  flagos_plugin_stream_t* stream_ = nullptr;
};

}  // namespace

FLAGOS_CASE("dev.sync.direct_path",
            {.clause = "flagos_device_synchronize: work of the direct path is waited for, too",
             .level = Level::full,
             .oracle = Oracle::live}) {
  require_async(t);
  t.require(FLAGOS_FEATURE_PINNED_MEMORY);
  const flagos_plugin_t* plugin = nullptr;
  flagos_plugin_device_t* device = nullptr;
  t.ok(flagos_device_get_table(t.device(), &plugin, &device), "the plugin's tables");
  // Core puts a slot that says UNSUPPORTED where the plugin has none.
  if (plugin->device->synchronize(device, 0) == FLAGOS_STATUS_UNSUPPORTED) {
    t.not_supported("the plugin waits stream by stream, so core cannot know of its other streams");
  }
  for (int round = 0; round < 8; ++round) {
    t.subcase("round " + std::to_string(round));
    DirectStream stream(t);
    t.ok(flagos_device_synchronize(t.device(), kPatienceNs), "an idle device");
    stream.hold();
    t.status(flagos_device_synchronize(t.device(), 0), FLAGOS_STATUS_TIMEOUT,
             "a poll while it is held");
    t.status(flagos_device_synchronize(t.device(), a_moment_ns), FLAGOS_STATUS_TIMEOUT,
             "a wait while it is held");
    t.status(stream.synchronize(0), FLAGOS_STATUS_TIMEOUT, "it is still held");
    stream.release();
    t.ok(flagos_device_synchronize(t.device(), kPatienceNs), "wait for it");
    t.ok(stream.synchronize(0), "its work is done then");
  }
}

FLAGOS_CASE("dev.prop.mem_total",
            {.clause = "flagos_device_query_memory: the total is the device's memory",
             .query = true}) {
  std::uint64_t first = 0;
  for (int i = 0; i < 32; ++i) {
    std::uint64_t free = 0, total = 0;
    t.ok(flagos_device_query_memory(t.device(), &free, &total), "query_memory");
    t.check(total != 0 && free <= total, "no more is free than there is");
    if (i == 0) first = total;
    t.equal(total, first, "the total never changes");
    t.check(total <= t.info().memory_bytes, "the total is at most memory_bytes of the device");
  }
}

}  // namespace flagos::conformance
