// Rows of the struct description: topology, exports, native objects, tensors, operators.
#include <unistd.h>

#include <cstddef>

#include "conformance/cases/dlpack_layout.hpp"
#include "conformance/cases/native_support.hpp"
#include "conformance/cases/structs.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

template <class T>
std::vector<std::uint8_t> bytes_of(const T& value) {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&value);
  return {bytes, bytes + sizeof value};
}

Struct memory_import_row() {
  Struct row;
  row.name = "flagos_external_t in flagos_memory_import";
  row.size = sizeof(flagos_external_t);
  row.needs = FLAGOS_FEATURE_EXPORT_MEMORY;
  row.valid = [](World& world) { return bytes_of(world.external_memory()); };
  row.use = [](World& world, void* external) {
    flagos_address_t address = 0;
    const flagos_status_t status = flagos_memory_import(
        world.device(), static_cast<flagos_external_t*>(external), &address, nullptr);
    flagos_memory_free(world.device(), address);
    return status;
  };
  return row;
}

Struct event_import_row() {
  Struct row;
  row.name = "flagos_external_t in flagos_event_import";
  row.size = sizeof(flagos_external_t);
  row.needs = FLAGOS_FEATURE_EXPORT_EVENT;
  row.valid = [](World& world) { return bytes_of(world.external_event()); };
  row.use = [](World& world, void* external) {
    flagos_event_t* event = nullptr;
    const flagos_status_t status =
        flagos_event_import(world.device(), static_cast<flagos_external_t*>(external), &event);
    flagos_event_destroy(event);
    return status;
  };
  return row;
}

// Any kind that works will do; without one a wrap of a stream must be refused.
NativeKind kind_for(const World& world) {
  return wrappable_kind(world).value_or(NativeKind::stream);
}

Struct native_row() {
  Struct row;
  row.name = "flagos_native_t";
  row.size = sizeof(flagos_native_t);
  row.needs = FLAGOS_FEATURE_NATIVE_OBJECTS;
  row.present = [](const World& world) { return wrappable_kind(world).has_value(); };
  row.valid = [](World& world) { return bytes_of(native_of(world, kind_for(world))); };
  row.use = [](World& world, void* native) {
    return wrap_and_drop(world, kind_for(world), static_cast<flagos_native_t*>(native));
  };
  return row;
}

Struct tensor_row() {
  Struct row = in_struct_row<flagos_tensor_t>("flagos_tensor_t");
  row.flags = {{offsetof(flagos_tensor_t, flags), 4, FLAGOS_TENSOR_FLAG_READ_ONLY}};
  row.use = [](World& world, void* tensor) {
    void* managed = nullptr;
    const flagos_status_t status =
        flagos_dlpack_export(world.device(), static_cast<flagos_tensor_t*>(tensor), nullptr,
                             nullptr, nullptr, nullptr, 1, &managed);
    flagos_dlpack_release(managed, 1);
    return status;
  };
  return row;
}

Struct physical_memory_row() {
  Struct row = in_struct_row<flagos_physical_memory_desc_t>("flagos_physical_memory_desc_t");
  row.next_offset = offsetof(flagos_physical_memory_desc_t, next);
  row.flags = {{offsetof(flagos_physical_memory_desc_t, flags), 8, FLAGOS_MEMORY_FLAG_EXPORTABLE}};
  row.enums = {{offsetof(flagos_physical_memory_desc_t, kind),
                {-1, 0, 3, 4, 99},
                {FLAGOS_STATUS_INVALID_ARGUMENT}}};
  row.needs = FLAGOS_FEATURE_VIRTUAL_MEMORY;
  row.use = [](World& world, void* desc) {
    flagos_physical_memory_t* memory = nullptr;
    const flagos_status_t status = flagos_physical_memory_create(
        world.device(), static_cast<flagos_physical_memory_desc_t*>(desc), &memory);
    flagos_physical_memory_destroy(memory);
    return status;
  };
  return row;
}

Struct physical_import_row() {
  Struct row;
  row.name = "flagos_external_t in flagos_physical_memory_import";
  row.size = sizeof(flagos_external_t);
  row.needs = FLAGOS_FEATURE_VIRTUAL_MEMORY;
  row.present = [](const World& world) { return world.external_physical().fd >= 0; };
  row.valid = [](World& world) { return bytes_of(world.external_physical()); };
  row.use = [](World& world, void* external) {
    flagos_physical_memory_t* memory = nullptr;
    const flagos_status_t status = flagos_physical_memory_import(
        world.device(), static_cast<flagos_external_t*>(external), &memory, nullptr);
    flagos_physical_memory_destroy(memory);
    return status;
  };
  return row;
}

bool offers_operators(const World& world) {
  std::uint32_t count = 0;
  return flagos_operator_get_count(world.device(), &count) == ok && count != 0;
}

Struct operator_row() {
  Struct row = in_struct_row<flagos_operator_desc_t>("flagos_operator_desc_t");
  row.next_offset = offsetof(flagos_operator_desc_t, next);
  row.flags = {{offsetof(flagos_operator_desc_t, flags), 8, 0}};
  row.padding = {offsetof(flagos_operator_desc_t, padding)};
  row.needs = FLAGOS_FEATURE_OPERATORS;
  row.present = offers_operators;
  row.use = [](World& world, void* desc) {
    flagos_operator_support_t support{};
    support.struct_size = sizeof support;
    return flagos_operator_query(world.device(), static_cast<flagos_operator_desc_t*>(desc),
                                 &support);
  };
  return row;
}

flagos_status_t close_when_made(flagos_status_t status, const flagos_external_t* external) {
  if (status == ok) ::close(external->fd);
  return status;
}

flagos_status_t import_exported_tensor(World& world, flagos_tensor_t* out_tensor) {
  const auto tensor = world.valid<flagos_tensor_t>();
  void* managed = nullptr;
  flagos_status_t status = flagos_dlpack_export(world.device(), &tensor, nullptr, nullptr, nullptr,
                                                nullptr, 1, &managed);
  if (status != ok) return status;
  status = flagos_dlpack_import(world.device(), managed, 1, out_tensor);
  flagos_dlpack_release(managed, 1);
  return status;
}

Struct shown_row() {
  Struct row = out_struct_row<flagos_native_t>(
      "flagos_native_t in get_native",
      [](World& world, auto* native) { return get_native(world, kind_for(world), native); });
  row.needs = FLAGOS_FEATURE_NATIVE_OBJECTS;
  row.present = [](const World& world) { return wrappable_kind(world).has_value(); };
  return row;
}

Struct memory_export_row() {
  Struct row = out_struct_row<flagos_external_t>(
      "flagos_external_t in flagos_memory_export", [](World& world, auto* external) {
        return close_when_made(
            flagos_memory_export(world.device(), world.exportable_memory(), external), external);
      });
  row.needs = FLAGOS_FEATURE_EXPORT_MEMORY;
  return row;
}

Struct physical_export_row() {
  Struct row = out_struct_row<flagos_external_t>(
      "flagos_external_t in flagos_physical_memory_export", [](World& world, auto* external) {
        return close_when_made(flagos_physical_memory_export(world.physical_memory(), external),
                               external);
      });
  row.needs = FLAGOS_FEATURE_VIRTUAL_MEMORY;
  row.present = [](const World& world) { return world.external_physical().fd >= 0; };
  return row;
}

Struct operator_info_row() {
  Struct row = out_struct_row<flagos_operator_info_t>(
      "flagos_operator_info_t",
      [](World& world, auto* info) { return flagos_operator_get_info(world.device(), 0, info); });
  row.present = offers_operators;
  return row;
}

Struct operator_support_row() {
  Struct row = out_struct_row<flagos_operator_support_t>(
      "flagos_operator_support_t", [](World& world, auto* support) {
        const auto desc = world.valid<flagos_operator_desc_t>();
        return flagos_operator_query(world.device(), &desc, support);
      });
  row.needs = FLAGOS_FEATURE_OPERATORS;
  row.present = offers_operators;
  return row;
}

}  // namespace

void describe_interop_structs(std::vector<Struct>& structs) {
  structs.push_back(memory_import_row());
  structs.push_back(event_import_row());
  structs.push_back(native_row());
  structs.push_back(tensor_row());
  structs.push_back(operator_row());
  structs.push_back(physical_memory_row());
  structs.push_back(physical_import_row());
}

void describe_interop_out_structs(std::vector<Struct>& structs) {
  structs.push_back(
      out_struct_row<flagos_link_info_t>("flagos_link_info_t", [](World& world, auto* info) {
        return flagos_device_get_link(world.runtime(), world.device_index(), world.device_index(),
                                      info);
      }));
  structs.push_back(out_struct_row<flagos_locality_info_t>(
      "flagos_locality_info_t", [](World& world, auto* info) {
        return flagos_device_get_locality(world.runtime(), world.device_index(), info);
      }));
  structs.push_back(memory_export_row());
  structs.push_back(out_struct_row<flagos_external_t>(
      "flagos_external_t in flagos_event_export", [](World& world, auto* external) {
        return close_when_made(flagos_event_export(world.exportable_event(), external), external);
      }));
  structs.push_back(physical_export_row());
  structs.push_back(shown_row());
  structs.push_back(out_struct_row<flagos_tensor_t>(
      "flagos_tensor_t in flagos_dlpack_import",
      [](World& world, auto* tensor) { return import_exported_tensor(world, tensor); }));
  structs.push_back(operator_info_row());
  structs.push_back(operator_support_row());
}

}  // namespace flagos::conformance
