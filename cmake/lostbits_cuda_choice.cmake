# AUTO, ON or OFF from what LOSTBITS_CUDA was set to: whatever CMake itself takes for true or false
# (cmake-language, if(), "<constant>").
function(lostbits_cuda_choice value result)
  string(TOUPPER "${value}" upper)
  if(upper STREQUAL "AUTO")
    set(${result} AUTO PARENT_SCOPE)
  elseif(upper MATCHES "^(0|OFF|NO|FALSE|N|IGNORE|NOTFOUND|.*-NOTFOUND)?$")
    set(${result} OFF PARENT_SCOPE)
  elseif(upper MATCHES "^(ON|YES|TRUE|Y|[1-9][0-9]*)$")
    set(${result} ON PARENT_SCOPE)
  else()
    message(FATAL_ERROR "LOSTBITS_CUDA: expected AUTO, ON or OFF, found '${value}'")
  endif()
endfunction()
