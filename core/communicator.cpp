#include "core/communicator.hpp"

#include "core/entry.hpp"
#include "core/log.hpp"
#include "core/stream.hpp"

namespace flagos::core {

namespace {

void require_collectives(const Device& device) {
  device.require_feature(FLAGOS_FEATURE_COLLECTIVE, "native collectives");
}

// While ranks wait for each other no lock and no read section is held; the device stays open.
template <typename Join>
flagos_plugin_communicator_t* join(Device& device, const char* slot, bool may_be_none, const Join& join) {
  flagos_plugin_communicator_t* native = nullptr;
  device.count(Tag::communicator, 1);
  flagos_status_t status = FLAGOS_STATUS_OK;
  {
    Pause pause;
    status = join(&native);
  }
  device.count(Tag::communicator, -1);
  expect(status, slot);
  if (native == nullptr && !may_be_none)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from {}", slot);
  return native;
}

flagos_communicator_t* publish_communicator(Device& device, flagos_plugin_communicator_t* native, std::uint32_t rank,
                                            std::uint32_t size) {
  return publish<flagos_communicator_t>(Ref<Communicator>::adopt(new Communicator(device, native, rank, size)));
}

flagos_communicator_desc_t checked_create(Device& device, const flagos_communicator_desc_t* given) {
  flagos_communicator_desc_t desc = check_desc(given, "flagos_communicator_desc_t");
  desc.struct_size = sizeof(desc);
  desc.next = nullptr;
  require_collectives(device);
  check_flags(desc.flags, 0, "flagos_communicator_desc_t.flags");
  if (desc.padding != 0) throw_error(FLAGOS_STATUS_UNSUPPORTED, "flagos_communicator_desc_t.padding is not 0");
  const flagos_collective_id_t& id = require(desc.id, "flagos_communicator_desc_t.id");
  if (desc.rank >= desc.size)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "rank {} of a communicator of {} ranks", desc.rank, desc.size);
  if (id.size_bytes == 0 || id.size_bytes > sizeof(id.bytes))
    throw_error(FLAGOS_STATUS_COMM_REFUSED, "an id of {} bytes; flagos_collective_id_create has not made it",
                id.size_bytes);
  return desc;
}

}  // namespace

Communicator::Communicator(Device& device, flagos_plugin_communicator_t* native, std::uint32_t rank, std::uint32_t size)
    : Child(Tag::communicator, device), native_(native), rank_(rank), size_(size) {}

void Communicator::release() {
  const flagos_collective_table_t& table = tables().collective;
  for (const auto& [address, registration] : registrations_) table.buffer_deregister(native_, registration);
  table.communicator_destroy(native_);
  delete this;
}

flagos_status_t Communicator::abort() {
  if (!tables().has.communicator_abort) return tables().collective.communicator_abort(native_);
  if (aborted_.exchange(true, std::memory_order_acq_rel)) return FLAGOS_STATUS_OK;
  return tables().collective.communicator_abort(native_);
}

void Communicator::register_buffer(flagos_address_t address, std::uint64_t size_bytes) {
  std::lock_guard lock(mutex_);
  if (registrations_.count(address) != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a buffer at {:#x} is registered already", address);
  flagos_plugin_registration_t* registration = nullptr;
  expect(tables().collective.buffer_register(native_, address, size_bytes, &registration),
         "collective.buffer_register");
  registrations_.emplace(address, registration);
}

void Communicator::deregister_buffer(flagos_address_t address) {
  std::lock_guard lock(mutex_);
  const auto found = registrations_.find(address);
  if (found == registrations_.end())
    throw_error(FLAGOS_STATUS_NOT_FOUND, "no buffer at {:#x} is registered with this communicator", address);
  tables().collective.buffer_deregister(native_, found->second);
  registrations_.erase(found);
}

Communicator::Token Communicator::hold_back(const Stream& stream) {
  std::lock_guard lock(mutex_);
  holder_ = &stream;
  held_.fetch_add(1, std::memory_order_acq_rel);
  // The token keeps the communicator: commands may outlive its handle.
  return {this, [kept = Ref<Communicator>(this)](const void*) { kept->held_.fetch_sub(1, std::memory_order_acq_rel); }};
}

void Communicator::check_order(const Stream& stream) {
  if (held_.load(std::memory_order_acquire) == 0) return;
  std::lock_guard lock(mutex_);
  if (holder_ != &stream && held_.load(std::memory_order_acquire) != 0)
    throw_error(FLAGOS_STATUS_NOT_PERMITTED,
                "an operation of the communicator is held back on another stream, and this one would overtake it");
}

void abort_communicators(Device& device) {
  const auto communicators = handles.collect([&](const Object& object) {
    return object.tag() == Tag::communicator && &static_cast<const Communicator&>(object).device() == &device;
  });
  for (const Ref<Object>& communicator : communicators) {
    const flagos_status_t status = static_cast<Communicator&>(*communicator).abort();
    if (status != FLAGOS_STATUS_OK)
      log(FLAGOS_LOG_LEVEL_WARNING, "a communicator of device {} could not be aborted: {}", device.info().id,
          flagos_status_get_name(status));
  }
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_collective_id_create(flagos_device_t* device, flagos_collective_id_t* out_id) {
  clear_out(out_id);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_id, "out_id");
    require_collectives(object);
    object.throw_if_lost();
    flagos_collective_id_t id{};
    expect(object.tables().collective.unique_id_create(object.native(), &id), "collective.unique_id_create");
    if (id.size_bytes == 0 || id.size_bytes > sizeof(id.bytes))
      throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin made an id of {} bytes", id.size_bytes);
    *out_id = id;
  });
}

flagos_status_t flagos_communicator_create(flagos_device_t* device, const flagos_communicator_desc_t* desc,
                                           flagos_communicator_t** out_communicator) {
  clear_out(out_communicator);
  return entry(__func__, [&] {
    Ref<Device> object(&resolve<Device>(device, "device"));
    const flagos_communicator_desc_t made = checked_create(*object, desc);
    require(out_communicator, "out_communicator");
    object->throw_if_lost();
    flagos_plugin_communicator_t* const native =
        join(*object, "collective.communicator_create", false, [&](flagos_plugin_communicator_t** out) {
          return object->tables().collective.communicator_create(object->native(), &made, out);
        });
    *out_communicator = publish_communicator(*object, native, made.rank, made.size);
  });
}

flagos_status_t flagos_communicator_split(flagos_communicator_t* communicator, int32_t color, int32_t key,
                                          flagos_communicator_t** out_communicator) {
  clear_out(out_communicator);
  return entry(__func__, [&] {
    Ref<Communicator> parent(&resolve<Communicator>(communicator, "communicator"));
    require(out_communicator, "out_communicator");
    if (color < FLAGOS_COMMUNICATOR_COLOR_NONE)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "color {}; 0 or more, or FLAGOS_COMMUNICATOR_COLOR_NONE", color);
    Device& device = parent->device();
    device.throw_if_lost();
    const bool is_none = color == FLAGOS_COMMUNICATOR_COLOR_NONE;
    std::uint32_t rank = 0, size = 0;
    flagos_plugin_communicator_t* const native =
        join(device, "collective.communicator_split", is_none, [&](flagos_plugin_communicator_t** out) {
          return device.tables().collective.communicator_split(parent->native(), color, key, out, &rank, &size);
        });
    if (is_none) return;
    if (rank >= size) {
      device.tables().collective.communicator_destroy(native);
      throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin made rank {} of {} ranks in a split", rank, size);
    }
    *out_communicator = publish_communicator(device, native, rank, size);
  });
}

flagos_status_t flagos_communicator_abort(flagos_communicator_t* communicator) {
  return entry(__func__, [&] {
    expect(resolve<Communicator>(communicator, "communicator").abort(), "collective.communicator_abort");
  });
}

flagos_status_t flagos_communicator_destroy(flagos_communicator_t* communicator) {
  if (communicator == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve<Communicator>(communicator, "communicator")); });
}

flagos_status_t flagos_communicator_query_error(flagos_communicator_t* communicator, flagos_status_t* out_status) {
  clear_out(out_status);
  return entry(__func__, [&] {
    const Communicator& object = resolve<Communicator>(communicator, "communicator");
    require(out_status, "out_status");
    flagos_status_t found = object.device().lost();
    if (found == FLAGOS_STATUS_OK)
      expect(object.tables().collective.communicator_query_error(object.native(), &found),
             "collective.communicator_query_error");
    // Sets the text that the plugin gave with it.
    *out_status = checked(found, "collective.communicator_query_error");
  });
}

flagos_status_t flagos_communicator_get_info(flagos_communicator_t* communicator,
                                             flagos_communicator_info_t* out_info) {
  return entry(__func__, [&] {
    begin_out(out_info, "out_info");
    const Communicator& object = resolve<Communicator>(communicator, "communicator");
    flagos_communicator_info_t info{};
    info.rank = object.rank();
    info.size = object.size();
    info.device = to_handle<flagos_device_t>(object.device());
    finish_out(out_info, info);
  });
}

flagos_status_t flagos_communicator_register(flagos_communicator_t* communicator, flagos_address_t address,
                                             uint64_t size_bytes) {
  return entry(__func__, [&] {
    Communicator& object = resolve<Communicator>(communicator, "communicator");
    if (size_bytes == 0) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a buffer of 0 bytes");
    object.device().check_range(address, size_bytes, "the buffer");
    object.device().throw_if_lost();
    object.register_buffer(address, size_bytes);
  });
}

flagos_status_t flagos_communicator_deregister(flagos_communicator_t* communicator, flagos_address_t address) {
  return entry(__func__, [&] { resolve<Communicator>(communicator, "communicator").deregister_buffer(address); });
}
