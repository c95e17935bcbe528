// Tensors in and out in the form of DLPack (https://dmlc.github.io/dlpack), whose structs are laid out here anew.
#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "core/device.hpp"
#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/stream.hpp"
#include "core/tensor.hpp"

namespace flagos::core {

namespace {

struct DlDevice {
  std::int32_t type;
  std::int32_t id;
};
struct DlDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  std::int32_t rank;
  DlDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
// Before DLPack 1.0.
struct DlManagedTensor {
  DlTensor tensor;
  void* manager;
  void (*deleter)(DlManagedTensor* self);
};
struct DlManagedTensorVersioned {
  std::uint32_t major, minor;
  void* manager;
  void (*deleter)(DlManagedTensorVersioned* self);
  std::uint64_t flags;
  DlTensor tensor;
};
static_assert(sizeof(DlTensor) == 48 && sizeof(DlManagedTensor) == 64 && sizeof(DlManagedTensorVersioned) == 80);

constexpr std::uint64_t dl_flag_read_only = 1;
constexpr std::int32_t dl_cpu = 1;

void check_major(std::uint32_t major) {
  if (major > 1)
    throw_error(FLAGOS_STATUS_UNSUPPORTED_VERSION, "DLPack of major version {}; this flagos knows 0 and 1", major);
}

// Throws unless all elements lie in one allocation, or in host memory that the device works in.
void check_tensor(Device& device, const flagos_tensor_t& tensor) {
  check_shape(tensor.shape, tensor.rank);
  const Extent extent = extent_of(tensor.shape, tensor.strides, tensor.rank, element_bits(tensor.dtype));
  if (extent.empty()) return;
  const flagos_address_t start = check_memory(device, tensor.address, extent, "the tensor");
  if (device.addresses().find(start) == nullptr && device.info().dlpack_device_type != dl_cpu)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{:#x} is not in a live allocation of this opening of device {}", start,
                device.info().id);
}

// What an exported tensor hangs on: frees itself when the consumer is done.
template <typename Managed>
struct Exported {
  Managed managed{};
  std::vector<std::int64_t> shape, strides;
  flagos_release_t release = nullptr;
  void* user_data = nullptr;

  static void end(Managed* managed) {
    const std::unique_ptr<Exported> self(static_cast<Exported*>(managed->manager));
    if (self->release != nullptr) self->release(self->user_data);
  }
};

std::vector<std::int64_t> dense_strides(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    // Only without elements it does not fit; then nobody uses it.
    if (__builtin_mul_overflow(stride, std::max<std::int64_t>(shape[i], 1), &stride)) stride = 0;
  }
  return strides;
}

template <typename Managed>
std::unique_ptr<Exported<Managed>> make_exported(const Device& device, const flagos_tensor_t& tensor,
                                                 flagos_release_t release, void* user_data) {
  auto exported = std::make_unique<Exported<Managed>>();
  exported->shape.assign(tensor.shape, tensor.shape + tensor.rank);
  // Consumers before 1.2 of the standard may read NULL strides; since then they are always given.
  if (tensor.strides == nullptr) {
    exported->strides = dense_strides(exported->shape);
  } else {
    exported->strides.assign(tensor.strides, tensor.strides + tensor.rank);
  }
  exported->release = release;
  exported->user_data = user_data;
  DlTensor& target = exported->managed.tensor;
  target.data = reinterpret_cast<void*>(static_cast<std::uintptr_t>(tensor.address));
  target.device = {device.info().dlpack_device_type, device.info().dlpack_device_id};
  target.rank = static_cast<std::int32_t>(tensor.rank);
  target.dtype = {static_cast<std::uint8_t>(FLAGOS_DTYPE_CODE(tensor.dtype)),
                  static_cast<std::uint8_t>(FLAGOS_DTYPE_BITS(tensor.dtype)),
                  static_cast<std::uint16_t>(FLAGOS_DTYPE_LANES(tensor.dtype))};
  target.shape = exported->shape.data();
  target.strides = exported->strides.data();
  exported->managed.manager = exported.get();
  exported->managed.deleter = Exported<Managed>::end;
  return exported;
}

// The bytes are as the producer's work so far leaves them, for the consumer or for everybody.
void order(flagos_stream_t* producer, flagos_stream_t* consumer, Device& device) {
  Stream* const to = consumer == nullptr ? nullptr : &resolve<Stream>(consumer, "consumer");
  if (producer == nullptr) return;
  Ref<Stream> from(&resolve<Stream>(producer, "producer"));
  check_same_device(device, from->device(), "the producer");
  if (to == nullptr) {
    from->forbid_capture("flagos_dlpack_export");
    Pause pause;
    const flagos_status_t status = from->synchronize(FLAGOS_TIMEOUT_INFINITE);
    if (status != FLAGOS_STATUS_OK)
      throw_error(status, "work on the producer failed with {}", flagos_status_get_name(status));
    return;
  }
  if (producer == consumer) return;
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  const Ref<Event> event = Ref<Event>::adopt(new Event(device, desc));
  const std::shared_ptr<NativeEvent> record = event->current();
  expect(from->submit_slow(RecordCommand{event, record}), "event.record");
  expect(to->submit_slow(WaitEventCommand{event, record}), "stream.wait_event");
}

void* export_tensor(const Device& device, const flagos_tensor_t& tensor, std::uint32_t major, flagos_release_t release,
                    void* user_data) {
  const bool read_only = (tensor.flags & FLAGOS_TENSOR_FLAG_READ_ONLY) != 0;
  if (major == 0) {
    if (read_only)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "DLPack before 1.0 cannot say that a tensor is read-only");
    return &make_exported<DlManagedTensor>(device, tensor, release, user_data).release()->managed;
  }
  auto exported = make_exported<DlManagedTensorVersioned>(device, tensor, release, user_data);
  exported->managed.major = 1;
  exported->managed.flags = read_only ? dl_flag_read_only : 0;
  return &exported.release()->managed;
}

flagos_tensor_t describe(const Device& device, const DlTensor& source) {
  const flagos_device_info_t& info = device.info();
  const bool same = source.device.type == info.dlpack_device_type &&
                    (source.device.id == info.dlpack_device_id || source.device.type == dl_cpu);
  if (!same)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the tensor is on DLPack device {}:{}, device {} is {}:{}; copy it there first", source.device.type,
                source.device.id, info.id, info.dlpack_device_type, info.dlpack_device_id);
  if (source.rank < 0) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a tensor of rank {}", source.rank);
  flagos_tensor_t tensor{};
  tensor.rank = static_cast<std::uint32_t>(source.rank);
  check_shape(source.shape, tensor.rank);
  tensor.dtype = FLAGOS_MAKE_DTYPE(source.dtype.code, source.dtype.bits, source.dtype.lanes);
  const auto data = static_cast<flagos_address_t>(reinterpret_cast<std::uintptr_t>(source.data));
  const Extent extent = extent_of(source.shape, source.strides, tensor.rank, element_bits(tensor.dtype));
  if (__builtin_add_overflow(data, source.byte_offset, &tensor.address) || (data == 0 && !extent.empty()))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "data at {:#x} with an offset of {} bytes", data, source.byte_offset);
  tensor.shape = source.shape;
  tensor.strides = source.strides;
  return tensor;
}

}  // namespace

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_dlpack_export(flagos_device_t* device, const flagos_tensor_t* tensor, flagos_stream_t* producer,
                                     flagos_stream_t* consumer, flagos_release_t release, void* user_data,
                                     uint32_t major, void** out_managed) {
  clear_out(out_managed);
  return entry(__func__, [&] {
    Ref<Device> object(&resolve<Device>(device, "device"));
    const flagos_tensor_t& used = check_desc(tensor, "flagos_tensor_t");
    require(out_managed, "out_managed");
    check_flags(used.flags, FLAGOS_TENSOR_FLAG_READ_ONLY, "flagos_tensor_t.flags");
    check_major(major);
    check_tensor(*object, used);
    object->throw_if_lost();
    order(producer, consumer, *object);
    *out_managed = export_tensor(*object, used, major, release, user_data);
  });
}

flagos_status_t flagos_dlpack_import(flagos_device_t* device, const void* managed, uint32_t major,
                                     flagos_tensor_t* out_tensor) {
  return entry(__func__, [&] {
    begin_out(out_tensor, "out_tensor");
    Device& object = resolve<Device>(device, "device");
    if (managed == nullptr) throw_null("managed");
    check_major(major);
    if (major == 0) {
      finish_out(out_tensor, describe(object, static_cast<const DlManagedTensor*>(managed)->tensor));
      return;
    }
    const auto& versioned = *static_cast<const DlManagedTensorVersioned*>(managed);
    if (versioned.major != major)
      throw_error(FLAGOS_STATUS_UNSUPPORTED_VERSION, "the tensor is of DLPack {}.{}, {}.x was asked for",
                  versioned.major, versioned.minor, major);
    flagos_tensor_t tensor = describe(object, versioned.tensor);
    if (versioned.flags & dl_flag_read_only) tensor.flags |= FLAGOS_TENSOR_FLAG_READ_ONLY;
    finish_out(out_tensor, tensor);
  });
}

flagos_status_t flagos_dlpack_release(void* managed, uint32_t major) {
  return entry(__func__, [&] {
    check_major(major);
    if (managed == nullptr) return;
    if (major == 0) {
      auto* tensor = static_cast<DlManagedTensor*>(managed);
      if (tensor->deleter != nullptr) tensor->deleter(tensor);
    } else {
      auto* tensor = static_cast<DlManagedTensorVersioned*>(managed);
      if (tensor->deleter != nullptr) tensor->deleter(tensor);
    }
  });
}
