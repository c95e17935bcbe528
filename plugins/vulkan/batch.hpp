// A command buffer with all that belongs to one submission: memory for arguments, time stamps, and
// what happens when it is done. Batches are used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "plugins/vulkan/driver.hpp"
#include "plugins/vulkan/event.hpp"
#include "plugins/vulkan/memory.hpp"
#include "plugins/vulkan/profile.hpp"

namespace flagos::vulkan {

class Device;
class Kernel;
class Stream;
class Timeline;

// What is due when a batch is done, in the order in which it was recorded.
struct Action {
  enum class Type { record, signal, check };
  Type type;
  RecordRef record;                  // record
  std::uint32_t query = UINT32_MAX;  // record, when it has a time
  std::shared_ptr<Timeline> timeline;
  std::uint64_t value = 0;
  const std::int32_t* word = nullptr;  // check: where a kernel may have left a status
  const char* name = nullptr;          // check: that kernel
};

// A piece of a batch's memory that the host writes and kernels read.
struct Upload {
  std::byte* host = nullptr;
  VkBuffer buffer = VK_NULL_HANDLE;
  std::uint64_t offset = 0;
  std::uint64_t device_address = 0;
};

class Batch {
 public:
  explicit Batch(Device& device);
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  void begin(Stream& owner);
  void end();  // makes all writes visible to the host

  VkCommandBuffer commands() const noexcept { return commands_; }
  // What was recorded before happens before what comes behind.
  void barrier() noexcept;
  void note_command() noexcept { ++command_count_; }
  std::uint32_t command_count() const noexcept { return command_count_; }

  static constexpr std::uint64_t upload_bytes = 64 << 10;
  bool has_room(std::uint64_t size_bytes) const noexcept {
    return upload_used_ + size_bytes + query_limit * sizeof(std::uint64_t) + 256 <= upload_bytes;
  }
  Upload upload(std::uint64_t size_bytes);
  // A set with the batch's memory as its one dynamic buffer, for kernels whose arguments are a
  // buffer.
  VkDescriptorSet argument_set(VkDescriptorType type, VkDescriptorSetLayout layout);

  // A set of a launch's own, with its buffers, and the arguments at binding 0 where they are one; for
  // kernels that the driver binds buffers to.
  bool has_set_room(std::size_t buffers) const noexcept {
    return set_count_ < set_limit && bound_count_ + buffers <= bound_limit;
  }
  VkDescriptorSet launch_set(const Kernel& kernel, std::span<const VkDescriptorBufferInfo> buffers);
  VkBuffer memory_buffer();
  std::uint64_t memory_bytes() const noexcept { return memory_->size_bytes(); }

  static constexpr std::uint32_t query_limit = 128;
  bool has_queries(std::uint32_t count) const noexcept {
    return query_count_ + count <= query_limit;
  }
  std::uint32_t write_timestamp();
  std::uint64_t timestamp_ns(std::uint32_t query) const noexcept;  // of a batch that is done

  // For a profiler: the operation begins or ends behind what was recorded so far.
  void stamp(std::uint64_t sequence, bool ends);
  const std::vector<Stamp>& stamps() const noexcept { return stamps_; }

  void add(Action action) { actions_.push_back(std::move(action)); }
  std::vector<Action>& actions() noexcept { return actions_; }

  Stream* owner = nullptr;
  std::uint64_t value = 0;          // of the queue's timeline, once submitted
  std::uint64_t last_sequence = 0;  // the newest operation of the stream in it
  bool is_urgent = false;           // somebody waits for one of its actions
  std::uint64_t submitted_ns = 0;   // on the host's clock; only where it has stamps

 private:
  void make_memory();
  void copy_times();

  Device& device_;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkCommandBuffer commands_ = VK_NULL_HANDLE;
  std::uint32_t command_count_ = 0;
  std::unique_ptr<Block> memory_;
  std::uint64_t upload_used_ = 0;
  VkDescriptorPool descriptors_ = VK_NULL_HANDLE;
  VkDescriptorSet sets_[2] = {VK_NULL_HANDLE, VK_NULL_HANDLE};  // storage, uniform
  static constexpr std::uint32_t set_limit = 64;
  static constexpr std::uint32_t bound_limit = 512;
  VkDescriptorPool launch_sets_ = VK_NULL_HANDLE;
  std::uint32_t set_count_ = 0;
  std::size_t bound_count_ = 0;
  VkQueryPool queries_ = VK_NULL_HANDLE;
  std::uint32_t query_count_ = 0;
  Upload times_;
  std::vector<Action> actions_;
  std::vector<Stamp> stamps_;
};

}  // namespace flagos::vulkan
