#include "plugins/cpu/module.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"

namespace flagos::cpu {
namespace {

constexpr std::string_view descriptor_prefix = FLAGOS_CPU_KERNEL_SYMBOL_PREFIX;

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const noexcept { return descriptor_; }

 private:
  const int descriptor_;
};

Image read_file(const char* path) {
  const File file(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (file.get() < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "the module at '{}' cannot be opened: {}", path,
                std::strerror(errno));
  if (file.get() < 0 || fstat(file.get(), &info) != 0)
    throw_error(FLAGOS_STATUS_NOT_FOUND, "no module at '{}': {}", path, std::strerror(errno));
  if (!S_ISREG(info.st_mode))
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "'{}' is not a regular file", path);
  Image image(static_cast<std::size_t>(info.st_size));
  std::size_t done = 0;
  while (done < image.size()) {
    const ssize_t count = read(file.get(), image.data() + done, image.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      throw_error(FLAGOS_STATUS_INVALID_IMAGE, "'{}': only {} of {} bytes could be read", path,
                  done, image.size());
    done += static_cast<std::size_t>(count);
  }
  return image;
}

int create_memory_file() noexcept {
#ifdef MFD_EXEC
  // Where the system makes such files not executable unless asked.
  const int descriptor = memfd_create("flagos-module", MFD_CLOEXEC | MFD_EXEC);
  if (descriptor >= 0 || errno != EINVAL) return descriptor;
#endif
  return memfd_create("flagos-module", MFD_CLOEXEC);
}

// A way to the file that no other module was loaded by. The dynamic linker knows libraries by the
// path they were opened with, and numbers of files are used again; so the count of loads is written
// into the path, in binary.
std::string unique_path(int descriptor) {
  static std::atomic<std::uint64_t> loads{0};
  std::string path = "/proc/self/fd/";
  for (std::uint64_t count = loads.fetch_add(1) + 1; count != 0; count >>= 1)
    path += (count & 1) != 0 ? "./" : "/";
  return path + std::to_string(descriptor);
}

void write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "no memory for a module of {} more bytes: {}",
                  bytes.size(), std::strerror(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

bool is_power_of_two(std::uint32_t value) noexcept {
  return value != 0 && (value & (value - 1)) == 0;
}

void check_parameter(const std::string& kernel, std::uint32_t index,
                     const flagos_parameter_t& parameter, std::uint32_t argument_bytes,
                     flagos_status_t status) {
  const bool fits = parameter.size_bytes != 0 && is_power_of_two(parameter.alignment_bytes) &&
                    parameter.alignment_bytes <= 64 &&
                    parameter.offset_bytes % parameter.alignment_bytes == 0 &&
                    parameter.offset_bytes <= argument_bytes &&
                    parameter.size_bytes <= argument_bytes - parameter.offset_bytes;
  if (!fits)
    throw_error(
        status,
        "parameter {} of '{}': {} bytes at offset {} aligned to {} in {} bytes of arguments", index,
        kernel, parameter.size_bytes, parameter.offset_bytes, parameter.alignment_bytes,
        argument_bytes);
}

void check_descriptor(const std::string& name, const flagos_cpu_kernel_t& descriptor) {
  const auto refuse = [&](const char* why) {
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "the descriptor of kernel '{}': {}", name, why);
  };
  if (descriptor.struct_size < sizeof(flagos_cpu_kernel_t))
    refuse("struct_size is below that of ABI 1.0");
  if (FLAGOS_VERSION_MAJOR(descriptor.abi_version) != FLAGOS_ABI_MAJOR)
    refuse("it is of another major ABI version");
  if (descriptor.function == nullptr) refuse("it has no function");
  if (descriptor.argument_bytes > max_argument_bytes)
    refuse("argument_bytes is above the device's limit");
  if (descriptor.static_shared_bytes > max_static_shared_bytes)
    refuse("static_shared_bytes is above 64 MiB");
  if (descriptor.parameter_count > descriptor.argument_bytes)
    refuse("it has more parameters than bytes");
  if (descriptor.parameter_count != 0 && descriptor.parameters == nullptr)
    refuse("it has no list of parameters");
  for (std::uint32_t i = 0; i < descriptor.parameter_count; ++i)
    check_parameter(name, i, descriptor.parameters[i], descriptor.argument_bytes,
                    FLAGOS_STATUS_INVALID_IMAGE);
}

bool same_signature(std::span<const flagos_parameter_t> a,
                    std::span<const flagos_parameter_t> b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& left, const auto& right) {
                      return left.dtype == right.dtype && left.size_bytes == right.size_bytes &&
                             left.offset_bytes == right.offset_bytes;
                    });
}

std::span<const flagos_parameter_t> signature_of(const flagos_kernel_desc_t& desc) noexcept {
  return {desc.parameters, desc.parameters != nullptr ? desc.parameter_count : 0};
}

}  // namespace

Image read_image(const flagos_module_desc_t& desc) {
  if (desc.path != nullptr) return read_file(desc.path);
  const auto* data = static_cast<const std::byte*>(desc.data);
  return {data, data + desc.size_bytes};
}

std::vector<std::string> list_kernels(const ElfLibrary& symbols) {
  std::vector<std::string> native;
  std::vector<std::string> plain;
  for (const ElfSymbol& symbol : symbols.exported) {
    if (!symbol.function && symbol.name.starts_with(descriptor_prefix))
      native.push_back(symbol.name.substr(descriptor_prefix.size()));
  }
  std::sort(native.begin(), native.end());
  for (const ElfSymbol& symbol : symbols.exported) {
    if (symbol.function && !std::binary_search(native.begin(), native.end(), symbol.name))
      plain.push_back(symbol.name);
  }
  std::sort(plain.begin(), plain.end());
  native.insert(native.end(), plain.begin(), plain.end());
  return native;
}

SharedObject::SharedObject(std::span<const std::byte> image) {
  const File file(create_memory_file());
  if (file.get() < 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "memfd_create for a module: {}",
                std::strerror(errno));
  write_all(file.get(), image);
  const std::string path = unique_path(file.get());
  errno = 0;
  handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ != nullptr) return;
  if (errno == ENOMEM)
    throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "no memory is left to load a module of {} bytes",
                image.size());
  // "<path>: undefined symbol: foo": the path says nothing to the caller.
  const char* error = dlerror();
  const std::string_view text = error != nullptr ? error : "unknown error";
  // It leaves no errno behind for this.
  if (text.ends_with(std::strerror(EMFILE)) || text.ends_with(std::strerror(ENFILE)))
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no descriptor is left to load a module");
  const std::size_t colon = text.find(": ");
  throw_error(FLAGOS_STATUS_INVALID_IMAGE, "the dynamic linker refused the module: {}",
              text.substr(colon == std::string_view::npos ? 0 : colon + 2));
}

SharedObject::~SharedObject() { dlclose(handle_); }

void* SharedObject::find(const std::string& symbol) const noexcept {
  return dlsym(handle_, symbol.c_str());
}

Module::Module(const Host& host, Image image)
    : host_(host),
      image_(std::move(image)),
      symbols_(read_elf_library(image_)),
      object_(std::in_place, image_),
      names_(list_kernels(symbols_)) {
  log_ = fmt::format("{}: {} kernels and functions in {} bytes", module_format, names_.size(),
                     image_.size());
}

Module::Module(const Host& host, const CompilerLibrary& library, Image text)
    : host_(host),
      image_(std::move(text)),
      interpreter_(std::make_unique<const Interpreter>(
          host, library,
          std::string_view(reinterpret_cast<const char*>(image_.data()), image_.size()))) {
  for (const TileKernel& kernel : interpreter_->kernels()) names_.push_back(kernel.name);
  log_ = fmt::format("{}: {} kernels, for the interpreter", tile_format, names_.size());
}

const ElfSymbol* Module::find_symbol(const std::string& name) const noexcept {
  const auto found = std::find_if(symbols_.exported.begin(), symbols_.exported.end(),
                                  [&](const ElfSymbol& symbol) { return symbol.name == name; });
  return found == symbols_.exported.end() ? nullptr : &*found;
}

const flagos_cpu_kernel_t* Module::find_descriptor(const std::string& name) const {
  const std::string symbol_name = std::string(descriptor_prefix) + name;
  const ElfSymbol* symbol = find_symbol(symbol_name);
  if (symbol == nullptr || symbol->function) return nullptr;
  const auto* descriptor = static_cast<const flagos_cpu_kernel_t*>(object_->find(symbol_name));
  if (descriptor == nullptr || symbol->size < sizeof(flagos_cpu_kernel_t))
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "'{}' has {} bytes and is no descriptor of a kernel",
                symbol_name, symbol->size);
  check_descriptor(name, *descriptor);
  return descriptor;
}

std::unique_ptr<Kernel> Module::make_interpreted(const flagos_kernel_desc_t& desc) {
  const auto found = std::find(names_.begin(), names_.end(), desc.name);
  if (found == names_.end())
    throw_error(FLAGOS_STATUS_NOT_FOUND, "no kernel '{}'; there are: {}", desc.name,
                fmt::join(names_, ", "));
  auto kernel = std::make_unique<Kernel>(*this, *interpreter_,
                                         static_cast<std::uint32_t>(found - names_.begin()));
  if (desc.parameters != nullptr && !same_signature(signature_of(desc), kernel->parameters()))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the signature given for '{}' is not the kernel's own, which has {} parameters",
                desc.name, kernel->parameters().size());
  return kernel;
}

bool Module::has_own_signature(const std::string& name) const noexcept {
  return interpreter_ || find_symbol(std::string(descriptor_prefix) + name) != nullptr;
}

std::unique_ptr<Kernel> Module::make_kernel(const flagos_kernel_desc_t& desc) {
  if (interpreter_) return make_interpreted(desc);
  const std::string name = desc.name;
  const std::span<const flagos_parameter_t> signature = signature_of(desc);
  if (const flagos_cpu_kernel_t* descriptor = find_descriptor(name)) {
    auto kernel = std::make_unique<Kernel>(*this, name, *descriptor);
    if (desc.parameters != nullptr && !same_signature(signature, kernel->parameters()))
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "the signature given for '{}' is not the kernel's own, which has {} "
                  "parameters in {} bytes",
                  name, descriptor->parameter_count, descriptor->argument_bytes);
    return kernel;
  }
  const ElfSymbol* symbol = find_symbol(name);
  if (symbol == nullptr || !symbol->function)
    throw_error(FLAGOS_STATUS_NOT_FOUND, "no kernel '{}'; there are: {}", name,
                fmt::join(names_, ", "));
  if (desc.parameters == nullptr)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "'{}' is a plain function: give its signature",
                name);
  for (std::uint32_t i = 0; i < signature.size(); ++i)
    check_parameter(name, i, signature[i], max_argument_bytes, FLAGOS_STATUS_INVALID_ARGUMENT);
  return std::make_unique<Kernel>(*this, name, object_->find(name), signature);
}

Kernel& Module::get_kernel(const flagos_kernel_desc_t& desc) {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = kernels_.equal_range(desc.name);
  for (auto found = first; found != last; ++found) {
    Kernel& kernel = *found->second;
    // A native kernel is one whether its signature was given or not.
    if ((has_own_signature(desc.name) && desc.parameters == nullptr) ||
        (desc.parameters != nullptr && same_signature(signature_of(desc), kernel.parameters())))
      return kernel;
  }
  return *kernels_.emplace(desc.name, make_kernel(desc))->second;
}

std::span<std::byte> Module::get_global(const std::string& name) const {
  const ElfSymbol* symbol = find_symbol(name);
  void* address = symbol != nullptr && !symbol->function ? object_->find(name) : nullptr;
  if (address == nullptr) throw_error(FLAGOS_STATUS_NOT_FOUND, "no global variable '{}'", name);
  return {static_cast<std::byte*>(address), symbol->size};
}

}  // namespace flagos::cpu
