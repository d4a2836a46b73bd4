@echo off
rem Starts ha-server with conf\HAServer.conf in the foreground; Ctrl-C stops it.
rem Arguments go to ha-server. The binary: %HA_SERVER_BIN%, target\release, beside this file, bin, PATH.
setlocal
cd /d "%~dp0.."
set "BINARY=%HA_SERVER_BIN%"
call scripts\find.bat ha-server
if errorlevel 1 exit /b 1
"%BINARY%" %*
exit /b %ERRORLEVEL%
