// How operations become commands of a batch.
#include <algorithm>
#include <cstring>
#include <span>

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/kernel.hpp"
#include "plugins/vulkan/queue.hpp"
#include "plugins/vulkan/stream.hpp"
#include "plugins/vulkan/timeline.hpp"

namespace flagos::vulkan {
namespace {

// Drivers keep sizes of regions in 32 bits with a sign.
constexpr std::uint64_t region_bytes = 1u << 30;
constexpr std::uint64_t scratch_bytes = 4u << 20;

}  // namespace

// An operation that a profiler sees lies between two time stamps, perhaps of two batches.
void Stream::begin_profile(const Command& command) {
  Batch& batch = open({.queries = 2});
  batch.barrier();
  batch.stamp(command.sequence, false);
  profile_.begin(command);
}

// Behind its last command, which is still open: a launch whose status is looked at ends its batch.
void Stream::end_profile(const Command& command) {
  Batch& batch = open_ && open_->has_queries(1) ? *open_ : open({.queries = 1, .is_stamp = true});
  batch.barrier();
  batch.stamp(command.sequence, true);
}

// The arguments that are addresses in bound buffers become offsets in what is bound.
void Stream::bind_buffers(const Kernel& kernel, std::byte* block,
                          VkDescriptorBufferInfo* infos) const {
  const VkPhysicalDeviceLimits& limits = device_.physical().limits();
  for (const SpirvBuffer& buffer : kernel.layout().buffers) {
    VkDescriptorBufferInfo& info = *infos++;
    info = {};
    std::uint64_t address;
    std::memcpy(&address, block + buffer.offset, sizeof(address));
    if (buffer.offset == kernel.layout().status_offset || address == 0) continue;
    const Block* const found = device_.heap().find(address);
    if (found == nullptr)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "argument {} of kernel '{}' is {:#x}, which is in no memory of {}",
                  buffer.binding - 1, kernel.name(), address, device_.physical().name());
    const std::uint64_t at = found->offset_of(address);
    const bool is_too_large = found->buffer_bytes() > limits.maxStorageBufferRange;
    const std::uint64_t base = is_too_large ? at - at % limits.minStorageBufferOffsetAlignment : 0;
    info = {found->buffer(), base,
            std::min<std::uint64_t>(found->buffer_bytes() - base, limits.maxStorageBufferRange)};
    const std::uint64_t offset = at - base;
    std::memcpy(block + buffer.offset, &offset, sizeof(offset));
  }
}

void Stream::record_launch(Command& command) {
  const Kernel& kernel = *command.kernel;
  const KernelLayout& layout = kernel.layout();
  const DeviceFunctions& vk = device_.vk();
  alignas(16) std::byte block[max_argument_bytes];
  const bool is_pushed = layout.block == ArgumentBlock::push_constants;
  const std::uint32_t block_bytes = layout.block_bytes;
  if (command.argument_bytes != 0) std::memcpy(block, command.arguments, command.argument_bytes);
  if (block_bytes > command.argument_bytes)
    std::memset(block + command.argument_bytes, 0, block_bytes - command.argument_bytes);
  if (device_.heap().has_translated()) {
    for (const std::uint32_t offset : layout.address_offsets) {
      std::uint64_t address;
      std::memcpy(&address, block + offset, sizeof(address));
      address = device_.heap().translate(address);
      std::memcpy(block + offset, &address, sizeof(address));
    }
  }
  VkDescriptorBufferInfo buffers[KernelLayout::buffer_limit];
  if (!layout.buffers.empty()) bind_buffers(kernel, block, buffers);
  if (command.correlation != 0) begin_profile(command);
  Batch& batch = open({.upload_bytes = (is_pushed ? 0 : block_bytes + 256) + 256,
                       .buffers = layout.buffers.size(),
                       .queries = command.correlation != 0 ? 1u : 0u});
  const std::int32_t* status = nullptr;
  if (layout.status_offset != KernelLayout::none) {
    const Upload word = batch.upload(sizeof(std::int32_t));
    std::memset(word.host, 0, sizeof(std::int32_t));
    status = reinterpret_cast<const std::int32_t*>(word.host);
    const bool is_bound = !layout.buffers.empty();
    std::memcpy(block + layout.status_offset, is_bound ? &word.offset : &word.device_address,
                sizeof(std::uint64_t));
  }
  // What is bound to nothing gets the batch's own memory: the status's word, and a NULL that is not used.
  for (std::size_t i = 0; i < layout.buffers.size(); ++i)
    if (buffers[i].buffer == VK_NULL_HANDLE) buffers[i] = {batch.memory_buffer(), 0, VK_WHOLE_SIZE};

  batch.barrier();
  const VkCommandBuffer commands = batch.commands();
  vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, command.pipeline->handle);
  if (is_pushed && block_bytes != 0)
    vk.vkCmdPushConstants(commands, kernel.pipeline_layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0,
                          block_bytes, block);
  if (!is_pushed || !layout.buffers.empty()) {
    const VkDescriptorSet set =
        layout.buffers.empty()
            ? batch.argument_set(kernel.descriptor_type(), kernel.argument_set_layout())
            : batch.launch_set(kernel, std::span(buffers, layout.buffers.size()));
    std::uint32_t offset = 0;
    if (!is_pushed) {
      const Upload upload = batch.upload(block_bytes);
      std::memcpy(upload.host, block, block_bytes);
      offset = static_cast<std::uint32_t>(upload.offset);
    }
    vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.pipeline_layout(),
                               0, 1, &set, is_pushed ? 0 : 1, &offset);
  }
  vk.vkCmdDispatch(commands, command.grid[0], command.grid[1], command.grid[2]);
  if (command.correlation != 0) end_profile(command);
  if (status == nullptr) return;
  // What comes behind must be skipped if this fails: wait for it.
  Action check{};
  check.type = Action::Type::check;
  check.word = status;
  check.name = kernel.name().c_str();
  batch.add(std::move(check));
  flush();
  if (in_flight_ != 0) hold_ = Hold::draining;
}

void Stream::record_copy(const Block& target, std::uint64_t target_offset, const Block& source,
                         std::uint64_t source_offset, std::uint64_t bytes) {
  Batch& batch = open();
  batch.barrier();
  for (std::uint64_t done = 0; done < bytes; done += region_bytes) {
    const VkBufferCopy region{source_offset + done, target_offset + done,
                              std::min(region_bytes, bytes - done)};
    device_.vk().vkCmdCopyBuffer(batch.commands(), source.buffer(), target.buffer(), 1, &region);
  }
}

// Through scratch memory, piece by piece, from the end that is overwritten last.
void Stream::record_overlapping(const Block& block, std::uint64_t target_offset,
                                std::uint64_t source_offset, std::uint64_t bytes) {
  if (!scratch_)
    scratch_ = std::make_unique<Block>(device_, scratch_bytes, FLAGOS_MEMORY_KIND_DEVICE);
  const bool backwards = target_offset > source_offset;
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t piece = std::min(scratch_bytes, bytes - done);
    const std::uint64_t at = backwards ? bytes - done - piece : done;
    record_copy(*scratch_, 0, block, source_offset + at, piece);
    record_copy(block, target_offset + at, *scratch_, 0, piece);
    done += piece;
  }
}

bool Stream::run_copy(Command& command) {
  const Block* target = device_.heap().find(command.target);
  const Block* source = device_.heap().find(command.source);
  if (target == nullptr || source == nullptr) return give_to_host();
  const std::uint64_t target_offset = target->offset_of(command.target);
  const std::uint64_t source_offset = source->offset_of(command.source);
  const std::uint64_t distance =
      target_offset > source_offset ? target_offset - source_offset : source_offset - target_offset;
  if (command.correlation != 0) begin_profile(command);
  if (target == source && distance != 0 && distance < command.bytes)
    record_overlapping(*target, target_offset, source_offset, command.bytes);
  else if (target != source || distance != 0)
    record_copy(*target, target_offset, *source, source_offset, command.bytes);
  if (command.correlation != 0) end_profile(command);
  return true;
}

// Whole words by the driver's own fill; the bytes before and behind from the batch's memory.
void Stream::record_fill(const Block& block, std::uint64_t offset, const Command& command) {
  const auto pattern_at = [&](std::uint64_t at) {  // the word that stands at so many bytes
    std::uint8_t bytes[4];
    for (std::uint64_t i = 0; i < 4; ++i)
      std::memcpy(
          &bytes[i],
          reinterpret_cast<const std::uint8_t*>(&command.value) + (at + i) % command.pattern_bytes,
          1);
    std::uint32_t word;
    std::memcpy(&word, bytes, 4);
    return word;
  };
  Batch& batch = open({.upload_bytes = 64});
  const DeviceFunctions& vk = device_.vk();
  const std::uint64_t head = std::min((4 - offset % 4) % 4, command.bytes);
  const std::uint64_t words = (command.bytes - head) / 4 * 4;
  const std::uint64_t tail = command.bytes - head - words;
  batch.barrier();
  for (std::uint64_t done = 0; done < words; done += region_bytes)
    vk.vkCmdFillBuffer(batch.commands(), block.buffer(), offset + head + done,
                       std::min(region_bytes, words - done), pattern_at(head));
  if (head + tail == 0) return;
  const Upload upload = batch.upload(8);
  const std::uint32_t ends[2] = {pattern_at(0), pattern_at(head + words)};
  std::memcpy(upload.host, ends, sizeof(ends));
  VkBufferCopy regions[2];
  std::uint32_t count = 0;
  if (head != 0) regions[count++] = {upload.offset, offset, head};
  if (tail != 0) regions[count++] = {upload.offset + 4, offset + head + words, tail};
  vk.vkCmdCopyBuffer(batch.commands(), upload.buffer, block.buffer(), count, regions);
}

bool Stream::run_fill(Command& command) {
  const Block* block = device_.heap().find(command.target);
  if (block == nullptr) return give_to_host();
  if (command.correlation != 0) begin_profile(command);
  record_fill(*block, block->offset_of(command.target), command);
  if (command.correlation != 0) end_profile(command);
  return true;
}

void Stream::run_record(Command& command) {
  Record& record = *command.record;
  const bool has_timing = record.has_timing && device_.physical().timestamp_bits() != 0;
  if (!has_timing && is_idle()) {
    record.semaphore = queue_.semaphore();
    record.value = last_value_;
    record.complete(nullptr, monotonic_ns());
    return;
  }
  Action action{};
  action.type = Action::Type::record;
  action.record = command.record;
  Batch* batch = open_.get();
  if (has_timing) {
    batch = &open({.queries = 1, .is_stamp = true});
    batch->barrier();
    action.query = batch->write_timestamp();
  } else if (batch == nullptr) {
    batch = newest_;
    record.semaphore = queue_.semaphore();
    record.value = batch->value;
  }
  batch->add(std::move(action));
  record.batch = batch;
  device_.instance().notify();  // who slept because it was held back can wait for the batch now
  if (record.has_parked()) make_urgent(*batch);
}

void Stream::run_signal(Command& command) {
  if (is_idle()) {
    signal_or_fail(*command.timeline, command.value);
    return;
  }
  Action action{};
  action.type = Action::Type::signal;
  action.timeline = std::move(command.timeline);
  action.value = command.value;
  Batch& batch = open_ ? *open_ : *newest_;
  batch.add(std::move(action));
  make_urgent(batch);
}

bool Stream::run_wait(Command& command) {
  if (command.type == Command::Type::wait_timeline) {
    Timeline& timeline = *command.timeline;
    if (timeline.has_reached(command.value)) return true;
    if (timeline.failure()) throw Error(*timeline.failure());
    timeline.park(*this, command.value);
    parked_timeline_ = command.timeline;
  } else {
    if (!command.record || command.record->is_done()) return true;
    Record& record = *command.record;
    if (record.batch != nullptr) {
      Stream& other = *record.batch->owner;
      if (&other == this) return true;
      // In one queue what is submitted first is first, and every command begins with a barrier.
      if (record.batch == other.open_.get()) other.flush();
      if (record.is_done()) return true;
      if (&other.queue_ == &queue_) {
        // A batch of our own behind it, perhaps an empty one: who waits for this stream, on the host too, waits for it.
        open({.is_stamp = true});
        return true;
      }
      other.make_urgent(*record.batch);
    }
    record.park(*this);
    parked_record_ = command.record;
  }
  hold_ = Hold::parked;
  return false;
}

}  // namespace flagos::vulkan
