#include "plugins/opencl/program.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

namespace flagos::opencl {
namespace {

std::string trimmed(std::string text) {
  const auto last = text.find_last_not_of(" \t\r\n");
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

std::string with_reflection(const std::string& options) {
  return options + (options.empty() ? "" : " ") + "-cl-kernel-arg-info";
}

// "__global" of the address qualifiers; "" for a value.
const char* address_space(const Argument& argument) {
  return argument.is_constant ? "__constant" : "__global";
}

// The parameters of the wrapper of a kernel, and what it passes on.
std::string wrapper_of(const Signature& signature) {
  std::string parameters, passed;
  for (std::size_t i = 0; i < signature.arguments.size(); ++i) {
    const Argument& argument = signature.arguments[i];
    if (i > 0) {
      parameters += ", ";
      passed += ", ";
    }
    const char* space = address_space(argument);
    if (argument.kind == ArgumentKind::local) {
      parameters += fmt::format("__local {} a{}", argument.type, i);
      passed += fmt::format("a{}", i);
    } else if (argument.kind == ArgumentKind::value) {
      parameters += fmt::format("{} a{}", argument.type, i);
      passed += fmt::format("a{}", i);
    } else {
      parameters += fmt::format("{} uchar* a{}, ulong o{}", space, i, i);
      passed += fmt::format("({} {})(a{} + o{})", space, argument.type, i, i);
    }
  }
  std::string attribute;
  if (signature.fixed_block[0] != 0)
    attribute =
        fmt::format("__attribute__((reqd_work_group_size({}, {}, {}))) ", signature.fixed_block[0],
                    signature.fixed_block[1], signature.fixed_block[2]);
  return fmt::format("{}__kernel void flagos_at_{}({}) {{ {}({}); }}\n", attribute, signature.name,
                     parameters, signature.name, passed);
}

}  // namespace

Program::Program(const Program& other)
    : device_(other.device_),
      log_(other.log_),
      signatures_(other.signatures_),
      source_(other.source_),
      options_(other.options_),
      image_(other.image_),
      is_wrapped_(other.is_wrapped_) {
  Driver::check(device_->driver().clRetainProgram(other.program_), "clRetainProgram");
  program_ = other.program_;
}

Program::Program(Program&& other) noexcept
    : device_(other.device_),
      program_(std::exchange(other.program_, nullptr)),
      log_(std::move(other.log_)),
      signatures_(std::move(other.signatures_)),
      source_(std::move(other.source_)),
      options_(std::move(other.options_)),
      image_(std::move(other.image_)),
      is_wrapped_(other.is_wrapped_) {}

Program::~Program() {
  if (program_ != nullptr) device_->driver().clReleaseProgram(program_);
}

Program Program::from_source(Device& device, const std::string& source,
                             const std::string& options) {
  if (!can_share(options)) return build_source(device, source, options);
  if (std::optional<Program> known = device.programs().find(source, options))
    return std::move(*known);
  Program program = build_source(device, source, options);
  device.programs().add(source, options, program);
  return program;
}

// From OpenCL C 2.0 on a program may have variables of its own, which two modules must not share.
bool Program::can_share(const std::string& options) {
  return options.find("-cl-std=CL2") == std::string::npos &&
         options.find("-cl-std=CL3") == std::string::npos &&
         options.find("-cl-std=CLC++") == std::string::npos;
}

Program Program::build_source(Device& device, const std::string& source,
                              const std::string& options) {
  Program program(device);
  const std::string all_options = with_reflection(options);
  program.create_from_source(source);
  program.build(all_options);
  program.reflect(source, options);
  if (!device.memory().is_native()) program.wrap(source, all_options);
  return program;
}

Program Program::from_il(Device& device, std::span<const std::byte> words,
                         std::vector<Signature> signatures, const std::string& options) {
  Program program(device);
  cl_int code = CL_SUCCESS;
  program.program_ =
      device.driver().clCreateProgramWithIL(device.context(), words.data(), words.size(), &code);
  if (code == CL_INVALID_VALUE)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE,
                "clCreateProgramWithIL: {}: the driver does not take "
                "these {} bytes as SPIR-V",
                code_text(code), words.size());
  Driver::check(code, "clCreateProgramWithIL", "{} bytes of SPIR-V", words.size());
  program.build(options);
  program.signatures_ = std::move(signatures);
  return program;
}

Program Program::from_binary(Device& device, std::span<const std::byte> binary,
                             std::vector<Signature> signatures, bool is_wrapped) {
  Program program(device);
  const std::size_t size = binary.size();
  const auto* bytes = reinterpret_cast<const unsigned char*>(binary.data());
  const cl_device_id id = device.id();
  cl_int code = CL_SUCCESS, status = CL_SUCCESS;
  program.program_ = device.driver().clCreateProgramWithBinary(device.context(), 1, &id, &size,
                                                               &bytes, &status, &code);
  Driver::check(code, "clCreateProgramWithBinary", "{} bytes", size);
  Driver::check(status, "clCreateProgramWithBinary", "{} bytes", size);
  program.build("");
  program.signatures_ = std::move(signatures);
  program.is_wrapped_ = is_wrapped;
  return program;
}

void Program::create_from_source(const std::string& source) {
  const char* text = source.c_str();
  const std::size_t size = source.size();
  cl_int code = CL_SUCCESS;
  program_ =
      device_->driver().clCreateProgramWithSource(device_->context(), 1, &text, &size, &code);
  Driver::check(code, "clCreateProgramWithSource", "{} bytes of source", size);
}

void Program::build(const std::string& options) {
  const cl_device_id id = device_->id();
  const cl_int code =
      device_->driver().clBuildProgram(program_, 1, &id, options.c_str(), nullptr, nullptr);
  log_ = read_log();
  if (code == CL_SUCCESS) return;
  const std::string text =
      fmt::format("clBuildProgram: {} with options '{}':\n{}", code_text(code), options, log_);
  if (status_of(code) == FLAGOS_STATUS_COMPILE_FAILED) throw BuildError(text, log_);
  throw Error(status_of(code), text);
}

std::string Program::read_log() const {
  const Driver& driver = device_->driver();
  std::size_t size = 0;
  driver.clGetProgramBuildInfo(program_, device_->id(), CL_PROGRAM_BUILD_LOG, 0, nullptr, &size);
  std::string log(size, '\0');
  if (size == 0 || driver.clGetProgramBuildInfo(program_, device_->id(), CL_PROGRAM_BUILD_LOG, size,
                                                log.data(), nullptr) != CL_SUCCESS)
    return {};
  return trimmed(log.c_str());
}

// ---- reflection -------------------------------------------------------------------------------

void Program::reflect(const std::string& source, const std::string& options) {
  const Driver& driver = device_->driver();
  std::size_t size = 0;
  Driver::check(driver.clGetProgramInfo(program_, CL_PROGRAM_KERNEL_NAMES, 0, nullptr, &size),
                "clGetProgramInfo");
  std::string names(size, '\0');
  if (size != 0)
    Driver::check(
        driver.clGetProgramInfo(program_, CL_PROGRAM_KERNEL_NAMES, size, names.data(), nullptr),
        "clGetProgramInfo");
  names = names.c_str();
  while (!names.empty()) {
    const auto end = std::min(names.find(';'), names.size());
    if (end != 0) signatures_.push_back(reflect_kernel(names.substr(0, end)));
    names.erase(0, end + 1);
  }
  for (Signature& signature : signatures_)
    if (!signature.has_unknown_type()) lay_out(signature);
  source_ = source;
  options_ = options;
}

Signature Program::reflect_kernel(const std::string& name) const {
  const Driver& driver = device_->driver();
  cl_int code = CL_SUCCESS;
  const auto release = [&driver](cl_kernel kernel) { driver.clReleaseKernel(kernel); };
  const std::unique_ptr<std::remove_pointer_t<cl_kernel>, decltype(release)> kernel(
      driver.clCreateKernel(program_, name.c_str(), &code), release);
  Driver::check(code, "clCreateKernel", "kernel '{}'", name);
  Signature signature;
  signature.name = name;
  cl_uint count = 0;
  Driver::check(
      driver.clGetKernelInfo(kernel.get(), CL_KERNEL_NUM_ARGS, sizeof(count), &count, nullptr),
      "clGetKernelInfo", "kernel '{}'", name);
  int locals = 0;
  for (cl_uint i = 0; i < count; ++i) {
    signature.arguments.push_back(reflect_argument(kernel.get(), i));
    const Argument& argument = signature.arguments.back();
    locals += argument.kind == ArgumentKind::local;
    if (argument.type.starts_with("image") || argument.type == "sampler_t" ||
        argument.type.find("pipe ") != std::string::npos)
      signature.unusable = fmt::format(
          "parameter {} ('{}') is of type {}, which the contract has "
          "no argument for",
          i, argument.name, argument.type);
  }
  if (locals > 1)
    signature.unusable =
        fmt::format("it has {} __local parameters, and a launch gives the size of one", locals);
  std::size_t fixed[3] = {0, 0, 0};
  if (driver.clGetKernelWorkGroupInfo(kernel.get(), device_->id(),
                                      CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof(fixed), fixed,
                                      nullptr) == CL_SUCCESS)
    std::copy(fixed, fixed + 3, signature.fixed_block);
  return signature;
}

Argument Program::reflect_argument(cl_kernel kernel, cl_uint index) const {
  const Driver& driver = device_->driver();
  const auto text = [&](cl_kernel_arg_info what) {
    std::size_t size = 0;
    Driver::check(driver.clGetKernelArgInfo(kernel, index, what, 0, nullptr, &size),
                  "clGetKernelArgInfo");
    std::string value(size, '\0');
    Driver::check(driver.clGetKernelArgInfo(kernel, index, what, size, value.data(), nullptr),
                  "clGetKernelArgInfo");
    return std::string(value.c_str());
  };
  cl_kernel_arg_address_qualifier space = CL_KERNEL_ARG_ADDRESS_PRIVATE;
  Driver::check(driver.clGetKernelArgInfo(kernel, index, CL_KERNEL_ARG_ADDRESS_QUALIFIER,
                                          sizeof(space), &space, nullptr),
                "clGetKernelArgInfo");
  Argument argument;
  argument.type = text(CL_KERNEL_ARG_TYPE_NAME);
  argument.name = text(CL_KERNEL_ARG_NAME);
  if (space == CL_KERNEL_ARG_ADDRESS_PRIVATE) {
    set_builtin_type(argument);
  } else if (space == CL_KERNEL_ARG_ADDRESS_LOCAL) {
    argument.kind = ArgumentKind::local;
  } else {
    const bool is_failure = argument.name == "flagos_failure" && argument.type == "int*";
    argument.kind = is_failure ? ArgumentKind::failure : ArgumentKind::address;
    argument.is_constant = space == CL_KERNEL_ARG_ADDRESS_CONSTANT;
    argument.dtype = FLAGOS_DTYPE_ADDRESS;
    argument.size_bytes = argument.alignment_bytes = 8;
  }
  return argument;
}

// Each with a number.
std::map<std::string, std::size_t> Program::unknown_types() const {
  std::map<std::string, std::size_t> types;
  for (const Signature& signature : signatures_) {
    if (!signature.unusable.empty()) continue;
    for (const Argument& argument : signature.arguments)
      if (argument.has_unknown_type()) types.emplace(argument.type, types.size());
  }
  return types;
}

// A kernel beside those of the source tells the sizes; it runs once.
void Program::measure() {
  const std::map<std::string, std::size_t> types = unknown_types();
  if (types.empty()) return;
  std::string probe = "\n__kernel void flagos_measure(__global ulong* out) {\n";
  for (const auto& [type, index] : types) {
    probe += fmt::format("  out[{}] = sizeof({});\n", 2 * index, type);
    probe += fmt::format("  out[{}] = sizeof(struct {{ char c; {} t; }}) - sizeof({});\n",
                         2 * index + 1, type, type);
  }
  Program measuring(*device_);
  measuring.create_from_source(source_ + probe + "}\n");
  measuring.build(with_reflection(options_));
  const std::vector<cl_ulong> sizes = measuring.run_measure(types.size() * 2);
  for (Signature& signature : signatures_) {
    if (!signature.has_unknown_type() || !signature.unusable.empty()) continue;
    for (Argument& argument : signature.arguments) {
      if (!argument.has_unknown_type()) continue;
      const std::size_t index = types.at(argument.type);
      argument.dtype = FLAGOS_DTYPE_BYTES;
      argument.size_bytes = static_cast<std::uint32_t>(sizes[2 * index]);
      argument.alignment_bytes =
          static_cast<std::uint32_t>(std::clamp<cl_ulong>(sizes[2 * index + 1], 1, 64));
    }
    lay_out(signature);
  }
  refresh_cache();
}

void Program::set_image(std::shared_ptr<const std::vector<std::byte>> image) {
  image_ = std::move(image);
  refresh_cache();
}

void Program::refresh_cache() {
  if (!source_.empty() && can_share(options_)) device_->programs().add(source_, options_, *this);
}

std::vector<cl_ulong> Program::run_measure(std::size_t count) const {
  const Driver& driver = device_->driver();
  std::vector<cl_ulong> values(count);
  cl_int code = CL_SUCCESS;
  cl_mem buffer = nullptr;
  cl_kernel kernel = driver.clCreateKernel(program_, "flagos_measure", &code);
  const char* call = "clCreateKernel";
  const auto step = [&](const char* name, const auto& action) {
    if (code != CL_SUCCESS) return;
    call = name;
    code = action();
  };
  step("clCreateBuffer", [&] {
    cl_int result = CL_SUCCESS;
    buffer = driver.clCreateBuffer(device_->context(), CL_MEM_READ_WRITE, count * sizeof(cl_ulong),
                                   nullptr, &result);
    return result;
  });
  step("clSetKernelArg", [&] { return driver.clSetKernelArg(kernel, 0, sizeof(buffer), &buffer); });
  step("clEnqueueNDRangeKernel", [&] {
    const std::size_t one = 1;
    return driver.clEnqueueNDRangeKernel(device_->service_queue(), kernel, 1, nullptr, &one, &one,
                                         0, nullptr, nullptr);
  });
  step("clEnqueueReadBuffer", [&] {
    return driver.clEnqueueReadBuffer(device_->service_queue(), buffer, CL_TRUE, 0,
                                      count * sizeof(cl_ulong), values.data(), 0, nullptr, nullptr);
  });
  if (buffer != nullptr) driver.clReleaseMemObject(buffer);
  if (kernel != nullptr) driver.clReleaseKernel(kernel);
  Driver::check(code, call, "to find the sizes of the source's own types");
  return values;
}

// ---- addresses in buffer objects --------------------------------------------------------------

void Program::wrap(const std::string& source, const std::string& options) {
  std::string wrappers = "\n";
  for (const Signature& signature : signatures_)
    if (signature.unusable.empty()) wrappers += wrapper_of(signature);
  Program wrapped(*device_);
  wrapped.create_from_source(source + wrappers);
  wrapped.build(options);
  std::swap(program_, wrapped.program_);
  is_wrapped_ = true;
}

std::optional<Program> ProgramCache::find(const std::string& source, const std::string& options) {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_)
    if (entry.options == options && entry.source == source) return entry.program;
  return std::nullopt;
}

void ProgramCache::add(const std::string& source, const std::string& options,
                       const Program& program) {
  const std::lock_guard lock(mutex_);
  entries_.remove_if(
      [&](const Entry& entry) { return entry.options == options && entry.source == source; });
  if (entries_.size() == most) entries_.pop_front();
  entries_.push_back({source, options, program});
}

std::string Program::driver_name(const Signature& signature) const {
  return is_wrapped_ ? "flagos_at_" + signature.name : signature.name;
}

std::vector<std::byte> Program::binary() const {
  const Driver& driver = device_->driver();
  std::size_t size = 0;
  Driver::check(
      driver.clGetProgramInfo(program_, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, nullptr),
      "clGetProgramInfo");
  if (size == 0) throw_error(FLAGOS_STATUS_UNSUPPORTED, "the driver gives no binary of a program");
  std::vector<std::byte> bytes(size);
  void* target = bytes.data();
  Driver::check(
      driver.clGetProgramInfo(program_, CL_PROGRAM_BINARIES, sizeof(target), &target, nullptr),
      "clGetProgramInfo");
  return bytes;
}

}  // namespace flagos::opencl
